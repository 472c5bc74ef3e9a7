"""DescribeAutoSnapshotPolicyEx, ApplyAutoSnapshotPolicy."""

from collections import Counter

from fleet.emulator.contract.call import Call
from fleet.emulator.contract.matching import tag_list, tags_match
from fleet.emulator.contract.paging import cut, page_of
from fleet.emulator.contract.registry import Answer, action
from fleet.emulator.wire.errors import common_error, missing
from fleet.emulator.wire.times import to_second
from fleet.emulator.world.resources import Policy


@action("ApplyAutoSnapshotPolicy", scope="region", honoured="regionId autoSnapshotPolicyId diskIds", changes=True)
def apply_auto_snapshot_policy(call: Call) -> Answer:
    """Bind a snapshot policy to disks; this call alone writes its parameters with small letters."""
    policy_id = call.params.require("autoSnapshotPolicyId")
    ids = call.params.json_list("diskIds", error=common_error("InvalidDiskIds.Malformed"))
    if not ids:
        raise missing("diskIds")
    if policy_id not in call.region.policies:
        raise common_error("InvalidAutoSnapshotPolicyId.NotFound")
    disks = [call.region.disks.get(one) for one in ids]
    if any(disk is None or not disk.exists(call.now) for disk in disks):
        raise common_error("InvalidDiskId.NotFound")
    for disk in disks:
        if disk is not None:
            disk.policy_id = policy_id
            call.region.changed(disk)
    call.effect = True
    return {}


@action(
    "DescribeAutoSnapshotPolicyEx",
    scope="region",
    honoured="AutoSnapshotPolicyId AutoSnapshotPolicyName PageNumber PageSize Tag.N.Key Tag.N.Value",
    ignored="ResourceGroupId PolicyType",
)
def describe_auto_snapshot_policy_ex(call: Call) -> Answer:
    """List snapshot policies with the number of disks each is bound to."""
    id, name, tags = (
        call.params.get("AutoSnapshotPolicyId"),
        call.params.get("AutoSnapshotPolicyName"),
        call.params.tags(),
    )

    def wanted(policy: Policy) -> bool:
        return id in ("", policy.id) and name in ("", policy.name) and tags_match(tags, policy.tags)

    found, fields = cut(page_of(call.params), list(call.region.policies.values()), wanted)
    del fields["NextToken"]
    bound = Counter(d.policy_id for d in call.region.disks.values() if d.policy_id and d.exists(call.now))
    policies = [
        {
            "AutoSnapshotPolicyId": policy.id,
            "AutoSnapshotPolicyName": policy.name,
            "RegionId": policy.region,
            "RepeatWeekdays": '["1","2","3","4","5","6","7"]',
            "TimePoints": '["18"]',
            "RetentionDays": policy.retention_days,
            "DiskNums": bound[policy.id],
            "VolumeNums": 0,
            "Status": "Normal",
            "Type": "Custom",
            "CreationTime": to_second(policy.created_at),
            "EnableCrossRegionCopy": False,
            "TargetCopyRegions": "[]",
            "ResourceGroupId": "",
            "Tags": tag_list(policy.tags),
        }
        for policy in found
    ]
    return {"AutoSnapshotPolicies": {"AutoSnapshotPolicy": policies}, **fields}
