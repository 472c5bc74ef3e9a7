import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("fleet", "0005_selection_misses")]

    operations = [
        migrations.CreateModel(
            name="DataDisk",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("region", models.CharField(max_length=64)),
                ("disk_id", models.CharField(max_length=64)),
                ("attached_to", models.CharField(blank=True, max_length=64)),
                ("size", models.PositiveIntegerField()),
                ("seen_at", models.DateTimeField()),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="data_disks", to="fleet.account"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["account", "attached_to"], name="data_disk_by_machine")],
                "constraints": [models.UniqueConstraint(fields=("account", "disk_id"), name="data_disk_once")],
            },
        ),
    ]
