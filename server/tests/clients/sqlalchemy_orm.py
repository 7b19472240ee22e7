"""SQLAlchemy through its own PostgreSQL dialect: metadata, the ORM, reflection, ON CONFLICT, RETURNING."""
import datetime as dt
import decimal
import sys

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert

engine = sa.create_engine(sys.argv[1].replace('postgresql://', 'postgresql+psycopg://'))
Base = orm.declarative_base()


class Author(Base):
    __tablename__ = 'author'
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(40), nullable=False, unique=True)
    born = sa.Column(sa.Date)
    tags = sa.Column(ARRAY(sa.Text))
    about = sa.Column(JSONB)
    books = orm.relationship('Book', back_populates='author', cascade='all, delete-orphan')


class Book(Base):
    __tablename__ = 'book'
    id = sa.Column(sa.Integer, primary_key=True)
    title = sa.Column(sa.Text, nullable=False, index=True)
    price = sa.Column(sa.Numeric(8, 2), sa.CheckConstraint('price >= 0'))
    author_id = sa.Column(sa.ForeignKey('author.id', ondelete='CASCADE'), nullable=False)
    author = orm.relationship('Author', back_populates='books')


Base.metadata.create_all(engine)
with orm.Session(engine) as session:
    ada = Author(name='Ada', born=dt.date(1815, 12, 10), tags=['x', 'y'], about={'notes': [1, 2]})
    ada.books = [Book(title='Notes', price=decimal.Decimal('9.50')), Book(title='Letters', price=3)]
    session.add_all([ada, Author(name='Bob')])
    session.commit()
    assert ada.id is not None and all(book.id for book in ada.books)
    rows = session.execute(
        sa.select(Author.name, sa.func.count(Book.id), sa.func.max(Book.price))
        .outerjoin(Book).group_by(Author.name).order_by(Author.name)).all()
    assert [tuple(row) for row in rows] == [('Ada', 2, decimal.Decimal('9.50')), ('Bob', 0, None)], rows
    with_notes = sa.select(Author).where(Author.about.contains({'notes': [2]}))
    assert session.scalars(with_notes).one().tags == ['x', 'y']
    try:
        session.add(Author(name='Ada'))
        session.flush()
        raise AssertionError('a duplicate was taken')
    except sa.exc.IntegrityError as error:
        assert error.orig.sqlstate == '23505'
        session.rollback()
    upsert = insert(Author).values(name='Bob', tags=['z'])
    upsert = upsert.on_conflict_do_update(index_elements=['name'], set_={'tags': upsert.excluded.tags})
    assert session.scalar(upsert.returning(Author.tags)) == ['z']
    session.delete(session.scalars(sa.select(Author).filter_by(name='Ada')).one())
    session.commit()
    assert session.scalar(sa.select(sa.func.count()).select_from(Book)) == 0

inspector = sa.inspect(engine)
assert set(inspector.get_table_names()) >= {'author', 'book'}
columns = {column['name']: column for column in inspector.get_columns('book')}
assert isinstance(columns['price']['type'], sa.Numeric) and not columns['title']['nullable']
assert inspector.get_pk_constraint('book')['constrained_columns'] == ['id']
[key] = inspector.get_foreign_keys('book')
assert (key['referred_table'], key['options'].get('ondelete')) == ('author', 'CASCADE')
assert [index['column_names'] for index in inspector.get_indexes('book')] == [['title']]
assert [unique['column_names'] for unique in inspector.get_unique_constraints('author')] == [['name']]
assert 'price' in inspector.get_check_constraints('book')[0]['sqltext']
again = sa.MetaData()
again.reflect(engine)
again.drop_all(engine)
assert not sa.inspect(engine).has_table('author')
print('sqlalchemy', sa.__version__)
