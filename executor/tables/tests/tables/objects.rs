//! Objects that are neither tables nor indexes: names, needs, DROP, times.

use driftdb_query::{
    Catalog, CatalogAt, ColumnId, NameSpace, Need, Object, ObjectKind, TableNeed, TablePart,
};
use driftdb_tables::{Thing, create_object, drop_all, rename_object, replace_object};
use driftdb_types::SqlState;

use super::*;

fn make(db: &Database, name: &str, needs: Vec<Need>) -> Arc<Object> {
    let kind = ObjectKind::Schema;
    db.ddl(|cx| create_object(cx, ("", name), kind, needs, false)).unwrap().unwrap()
}

fn found(db: &Database, name: &str, at: CatalogAt) -> Option<Arc<Object>> {
    let mut txn = db.begin();
    let mut reader = db.catalog.reader(&mut *txn, &*db.store, false);
    reader.objects_named(NameSpace::Schema, None, name, at).unwrap().pop()
}

#[test]
fn an_object_comes_changes_its_name_and_goes_and_is_found_as_of_each_time() {
    let db = Database::new();
    let object = make(&db, "s", vec![]);
    let first = CatalogAt::AsOf(db.store.newest());
    let taken = db.ddl(|cx| create_object(cx, ("", "s"), ObjectKind::Schema, vec![], false));
    assert_eq!(taken.unwrap_err().state, SqlState::DuplicateSchema);
    assert_eq!(found(&db, "s", CatalogAt::Statement), Some(Arc::clone(&object)));
    db.ddl(|cx| rename_object(cx, object.id, ("", "t"))).unwrap();
    assert_eq!(found(&db, "s", CatalogAt::Statement), None);
    assert_eq!(found(&db, "t", CatalogAt::Statement).unwrap().id, object.id);
    db.ddl(|cx| drop_all(cx, &[Thing::Object(object.id)], false)).unwrap();
    assert_eq!(found(&db, "t", CatalogAt::Statement), None);
    assert_eq!(found(&db, "s", first), Some(object));
}

#[test]
fn what_is_needed_is_dropped_by_cascade_only_and_parts_go_unasked() {
    let db = Database::new();
    let table = db.create("t", vec![]);
    let user = make(&db, "user", vec![Need { column: Some(ColumnId(2)), ..Need::of(table.id.0) }]);
    let of_user = make(&db, "of_user", vec![Need::of(user.id.0)]);
    let part = make(&db, "part", vec![Need { is_part: true, ..Need::of(user.id.0) }]);
    let roots = [Thing::Table(table.id)];
    let error = db.ddl(|cx| drop_all(cx, &roots, false)).unwrap_err();
    assert_eq!(error.state, SqlState::DependentObjectsStillExist);
    assert_eq!(error.message, "cannot drop table t because other objects depend on it");
    let lines = "schema user depends on table t\nschema of_user depends on schema user";
    assert_eq!(error.detail.as_deref(), Some(lines));
    let dropped = db.ddl(|cx| drop_all(cx, &roots, true)).unwrap();
    assert_eq!(dropped, ["schema user", "schema of_user"]);
    for object in [user, of_user, part] {
        assert_eq!(found(&db, &object.name, CatalogAt::Statement), None);
    }
}

#[test]
fn a_column_goes_with_what_needs_it_and_a_default_with_what_it_needs() {
    let db = Database::new();
    let table = db.create("t", vec![]);
    let needed = make(&db, "needed", vec![]);
    let of_b = make(&db, "of_b", vec![Need { column: Some(ColumnId(2)), ..Need::of(table.id.0) }]);
    let drop_b = AlterAction::DropColumn { position: 1, cascade: false };
    let error = db.ddl(|cx| alter_table(cx, &table, &drop_b)).unwrap_err();
    assert_eq!(error.detail.as_deref(), Some("schema of_b depends on column b of table t"));
    // Nobody needs column a.
    let default = AlterAction::SetDefault(0, Some("1".into()));
    db.ddl(|cx| alter_table(cx, &table, &default)).unwrap();
    let need = TableNeed { part: TablePart::Default(ColumnId(1)), need: Need::of(needed.id.0) };
    db.ddl(|cx| alter_table(cx, &table, &AlterAction::SetNeeds(vec![need]))).unwrap();
    let error = db.ddl(|cx| drop_all(cx, &[Thing::Object(needed.id)], false)).unwrap_err();
    let line = "default value for column a of table t depends on schema needed";
    assert_eq!(error.detail.as_deref(), Some(line));
    db.ddl(|cx| drop_all(cx, &[Thing::Object(needed.id)], true)).unwrap();
    let mut txn = db.begin();
    let now = tables(&mut *txn, ReadAt::Statement).unwrap().pop().unwrap();
    assert_eq!((now.columns[0].default.as_deref(), &now.needs[..]), (None, &[][..]));
    drop(txn);
    let drop_b = AlterAction::DropColumn { position: 1, cascade: true };
    let (_, dropped) = db.ddl(|cx| alter_table(cx, &now, &drop_b)).unwrap();
    assert_eq!(dropped, ["schema of_b"]);
    assert_eq!(found(&db, &of_b.name, CatalogAt::Statement), None);
}

#[test]
fn a_schema_takes_its_tables_along_and_a_new_definition_new_needs() {
    let db = Database::new();
    let schema = make(&db, "s", vec![]);
    let spec = CreateTable {
        schema: "s".into(),
        name: "t".into(),
        if_not_exists: false,
        columns: vec![column("a", DataType::Int4)],
        constraints: vec![],
        retention: None,
        period: None,
        on_commit: driftdb_query::OnCommit::PreserveRows,
        materialized: None,
    };
    let table = db.ddl(|cx| create_table(cx, &spec)).unwrap().unwrap();
    let other = make(&db, "other", vec![]);
    let change = |object: &mut Object| {
        object.needs.push(Need::of(table.id.0));
        Ok(())
    };
    db.ddl(|cx| replace_object(cx, other.id, change)).unwrap();
    let error = db.ddl(|cx| drop_all(cx, &[Thing::Object(schema.id)], false)).unwrap_err();
    let lines = "table s.t depends on schema s\nschema other depends on table s.t";
    assert_eq!(error.detail.as_deref(), Some(lines));
    let dropped = db.ddl(|cx| drop_all(cx, &[Thing::Object(schema.id)], true)).unwrap();
    assert_eq!(dropped, ["table s.t", "schema other"]);
    assert!(tables(&mut *db.begin(), ReadAt::Statement).unwrap().is_empty());
}
