from django.db import migrations


# In SQL: on the way back through several migrations, rows of earlier states' models refer to models of other states,
# and Django refuses to collect them.
DELETE = """
DELETE FROM socialsongs_webhookdelivery USING socialsongs_event AS event, socialsongs_post AS post
WHERE event_id = event.id AND event.post_id = post.id AND subject_id IS NOT NULL;
DELETE FROM socialsongs_event USING socialsongs_post AS post WHERE post_id = post.id AND post.subject_id IS NOT NULL;
DELETE FROM socialsongs_idempotencykey USING socialsongs_post AS post
WHERE post_id = post.id AND post.subject_id IS NOT NULL;
DELETE FROM socialsongs_thumbnail USING socialsongs_postphoto AS photo, socialsongs_post AS post
WHERE photo_id = photo.id AND photo.post_id = post.id AND post.subject_id IS NOT NULL;
DELETE FROM socialsongs_postphoto USING socialsongs_post AS post WHERE post_id = post.id AND post.subject_id IS NOT NULL;
DELETE FROM socialsongs_post WHERE subject_id IS NOT NULL;
SET CONSTRAINTS ALL IMMEDIATE;
"""


def give_subjects_posts(apps, schema_editor):
    """Give each photo of a host that has requests a post, which these requests then belong to."""
    Post, PostPhoto, Request = (
        apps.get_model('socialsongs', name) for name in ('Post', 'PostPhoto', 'RecommendationRequest')
    )
    alias = schema_editor.connection.alias
    requests = Request.objects.using(alias).filter(post=None, subject__isnull=False).order_by('subject', 'created_at')
    of_subjects = {}
    for request in requests.iterator():
        if request.subject_id not in of_subjects:
            failed = {'state': request.state, 'reason': request.reason}
            post = Post.objects.using(alias).create(
                subject_id=request.subject_id, attempts=request.attempts, finished_at=request.finished_at,
                **(failed if request.state in ('ready', 'failed') else {}),
            )
            PostPhoto.objects.using(alias).create(post=post)
            of_subjects[request.subject_id] = post
            request.is_default = True
        request.post = of_subjects[request.subject_id]
        request.save(using=alias, update_fields=['post', 'is_default'])


def take_posts_of_subjects(apps, schema_editor):
    """Bring back requests without a post. Attached photos lose their posts: the version before has none of them."""
    Post, Request = (apps.get_model('socialsongs', name) for name in ('Post', 'RecommendationRequest'))
    alias = schema_editor.connection.alias
    for post in Post.objects.using(alias).exclude(subject=None).iterator():
        Request.objects.using(alias).filter(post=post).update(post=None, is_default=False, subject=post.subject_id)
    schema_editor.execute(DELETE)
    Post.objects.using(alias).filter(owner=None).delete()


class Migration(migrations.Migration):

    dependencies = [
        ('socialsongs', '0021_attached_photos'),
    ]

    operations = [
        migrations.RunPython(give_subjects_posts, take_posts_of_subjects),
    ]
