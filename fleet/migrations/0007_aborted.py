"""An abort stays on record, so that what a worker had in its hands at that moment ends too."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("fleet", "0006_data_disks")]

    operations = [
        migrations.AddField(
            model_name="change",
            name="aborted_at",
            field=models.DateTimeField(
                help_text="Ended by a person: what was not sent by then never is", null=True
            ),
        ),
    ]
