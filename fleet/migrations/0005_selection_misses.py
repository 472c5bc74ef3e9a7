from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("fleet", "0004_four_eyes")]

    operations = [
        migrations.AddField(
            model_name="selection",
            name="misses",
            field=models.JSONField(default=list, help_text="What was pasted and fits no machine"),
        ),
    ]
