"""Django: its own migrations and a small app's, the ORM, transactions, JSON, arrays, inspectdb."""
import datetime as dt
import decimal
import io
import sys
import types
import urllib.parse

import django
from django.conf import settings

shop = types.ModuleType('shop')
shop.__path__ = ['/nowhere/shop']
sys.modules['shop'] = shop
url = urllib.parse.urlparse(sys.argv[1])
settings.configure(
    DATABASES={'default': {
        'ENGINE': 'django.db.backends.postgresql', 'NAME': url.path[1:], 'USER': url.username,
        'HOST': url.hostname, 'PORT': url.port}},
    INSTALLED_APPS=[
        'django.contrib.contenttypes', 'django.contrib.auth', 'django.contrib.sessions',
        'django.contrib.postgres', 'shop'],
    DEFAULT_AUTO_FIELD='django.db.models.BigAutoField', USE_TZ=True)
django.setup()

from django.contrib.auth.models import Group, Permission, User  # noqa: E402
from django.contrib.postgres.fields import ArrayField  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import IntegrityError, connection, migrations, models, transaction  # noqa: E402
from django.db.migrations.executor import MigrationExecutor  # noqa: E402
from django.db.models import Count, F, Max, Q, Window  # noqa: E402
from django.db.models.functions import Lower, RowNumber, TruncMonth  # noqa: E402
from django.utils import timezone  # noqa: E402

# Django's own migrations: contenttypes, auth, sessions.
call_command('migrate', verbosity=0)
user = User.objects.create_user('ann', 'ann@example.com', 'secret')
assert user.check_password('secret')
group = Group.objects.create(name='editors')
user.groups.add(group)
user.user_permissions.set(Permission.objects.filter(codename__startswith='add_'))
assert user.has_perm('auth.add_user')
assert User.objects.filter(groups__name='editors').count() == 1


class Author(models.Model):
    name = models.CharField(max_length=40, unique=True)
    born = models.DateField(null=True)
    tags = ArrayField(models.TextField(), default=list)
    about = models.JSONField(default=dict)

    class Meta:
        app_label = 'shop'


class Book(models.Model):
    title = models.CharField(max_length=200, db_index=True)
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name='books')
    price = models.DecimalField(max_digits=8, decimal_places=2)
    sold = models.DateTimeField(default=timezone.now)

    class Meta:
        app_label = 'shop'
        constraints = [
            models.UniqueConstraint(fields=['author', 'title'], name='book_once'),
            models.CheckConstraint(condition=Q(price__gte=0), name='book_price')]


# What makemigrations would write, in two steps.
from django.db.migrations.state import ModelState  # noqa: E402


def created(model):
    state = ModelState.from_model(model)
    return migrations.CreateModel(state.name, list(state.fields.items()), state.options, state.bases)


state = migrations.state.ProjectState()
first = migrations.Migration('0001_initial', 'shop')
first.operations = [created(Author), created(Book)]
second = migrations.Migration('0002_pages', 'shop')
second.operations = [
    migrations.AddField('Book', 'pages', models.IntegerField(default=100)),
    migrations.RenameField('Book', 'pages', 'leaves'),
    migrations.AlterField('Book', 'leaves', models.BigIntegerField(null=True)),
    migrations.AddIndex('Book', models.Index(fields=['-price'], name='book_by_price')),
    migrations.RunSQL("UPDATE shop_book SET leaves = 1", migrations.RunSQL.noop),
    migrations.RemoveIndex('Book', 'book_by_price'),
    migrations.RemoveField('Book', 'leaves')]
for migration in (first, second):
    with connection.schema_editor(atomic=True) as editor:
        state = migration.apply(state, editor)

ada = Author.objects.create(
    name='Ada', born=dt.date(1815, 12, 10), tags=['x', 'y'], about={'notes': [1, {'deep': True}]})
Author.objects.bulk_create([Author(name='Bob'), Author(name='Cy', about={'notes': []})])
Book.objects.bulk_create(
    Book(title=f'Book {i}', author=ada, price=decimal.Decimal('9.50') + i,
         sold=dt.datetime(2024, 1 + i % 2, 3, tzinfo=dt.timezone.utc)) for i in range(4))
rows = Author.objects.annotate(n=Count('books'), most=Max('books__price')).order_by(Lower('name'))
assert [(a.name, a.n, a.most) for a in rows] == [
    ('Ada', 4, decimal.Decimal('12.50')), ('Bob', 0, None), ('Cy', 0, None)]
assert Author.objects.filter(tags__contains=['y'], about__notes__1__deep=True).get() == ada
assert Author.objects.filter(about__has_key='notes').count() == 2
assert Author.objects.filter(Q(name__icontains='A') & ~Q(books__isnull=True)).distinct().count() == 1
months = Book.objects.annotate(m=TruncMonth('sold')).values('m').annotate(n=Count('id')).order_by('m')
assert [(row['m'].month, row['n']) for row in months] == [(1, 2), (2, 2)], list(months)
numbered = Book.objects.annotate(
    place=Window(RowNumber(), partition_by='author', order_by=F('price').desc())).order_by('id')
assert [book.place for book in numbered] == [4, 3, 2, 1]
assert Book.objects.filter(price__gt=10).update(price=F('price') * 2) == 3
_, is_new = Author.objects.update_or_create(name='Bob', defaults={'tags': ['z']})
assert not is_new and Author.objects.get(name='Bob').tags == ['z']
Author.objects.bulk_create(
    [Author(name='Cy', tags=['w']), Author(name='Dan')], update_conflicts=True,
    unique_fields=['name'], update_fields=['tags'])
assert Author.objects.get(name='Cy').tags == ['w'] and Author.objects.count() == 4

try:
    with transaction.atomic():
        Author.objects.create(name='Eve')
        with transaction.atomic():
            Author.objects.create(name='Ada')
    raise AssertionError('a duplicate was taken')
except IntegrityError as error:
    assert error.__cause__.sqlstate == '23505'
assert not Author.objects.filter(name='Eve').exists()
try:
    with transaction.atomic():
        Book.objects.create(title='Free', author=ada, price=-1)
    raise AssertionError('a negative price was taken')
except IntegrityError as error:
    assert error.__cause__.diag.constraint_name == 'book_price'
with transaction.atomic():
    assert Book.objects.select_for_update().filter(author=ada).count() == 4
assert sum(1 for _ in Book.objects.iterator(chunk_size=2)) == 4
assert ada.delete()[0] == 5 and not Book.objects.exists()

with connection.cursor() as cursor:
    seen = connection.introspection
    assert {'shop_author', 'shop_book', 'auth_user'} <= set(seen.table_names(cursor))
    found = seen.get_constraints(cursor, 'shop_book')
    assert found['book_once']['columns'] == ['author_id', 'title'] and found['book_once']['unique']
    assert found['book_price']['check']
    assert any(c['foreign_key'] == ('shop_author', 'id') for c in found.values())
    assert seen.get_relations(cursor, 'shop_book') == {'author_id': ('id', 'shop_author')}
    assert seen.get_primary_key_column(cursor, 'shop_book') == 'id'
    assert seen.get_sequences(cursor, 'shop_book')[0]['column'] == 'id'
out = io.StringIO()
call_command('inspectdb', 'shop_author', 'shop_book', stdout=out)
assert "name = models.CharField(unique=True, max_length=40)" in out.getvalue(), out.getvalue()
assert "models.ForeignKey(ShopAuthor, models.DO_NOTHING)" in out.getvalue(), out.getvalue()
