"""An instance as DescribeInstances shows it, with the vendor's quirks."""

import uuid
from typing import Any

from fleet.emulator.contract.matching import tag_list
from fleet.emulator.wire.times import to_minute
from fleet.emulator.world.catalogue import type_facts
from fleet.emulator.world.resources import Instance

SERIALS = uuid.UUID("6a1e1f0c-41f1-4b35-8e0b-58f4b8f8a3d1")


def private_ip(number: int) -> str:
    """Return the private address of the machine with that number; it never changes."""
    return f"172.{16 + (number >> 16) % 16}.{(number >> 8) & 255}.{number & 255}"


def instance_view(instance: Instance, now: float) -> dict[str, Any]:
    """Return the fields at `now`; Tags and KeyPairName are absent when there are none."""
    system = instance.system.at(now)
    status = instance.status.at(now)
    facts = type_facts(instance.type_id)
    ip = private_ip(instance.number)
    mac = "00:16:3e:" + ":".join(f"{(instance.number >> shift) & 255:02x}" for shift in (16, 8, 0))
    suffix = instance.id.partition("-")[2]
    view: dict[str, Any] = {
        "InstanceId": instance.id,
        "InstanceName": instance.name,
        "HostName": f"iZ{suffix}Z",
        "Description": instance.description,
        "Status": status,
        "StoppedMode": instance.stopped_mode if status == "Stopped" else "Not-applicable",
        "RegionId": instance.region,
        "ZoneId": instance.zone,
        "InstanceType": instance.type_id,
        "InstanceTypeFamily": facts.family,
        "Cpu": facts.cpus,
        "Memory": facts.memory * 1024,
        "GPUAmount": 0,
        "GPUSpec": "",
        "ImageId": system.image_id,
        "OSType": system.os_type,
        "OSName": system.os_name,
        "OSNameEn": system.os_name_en,
        "InstanceChargeType": instance.charge_type,
        "InternetChargeType": "PayByTraffic",
        "InternetMaxBandwidthIn": -1,
        "InternetMaxBandwidthOut": 5 if instance.public_ip else 0,
        "InstanceNetworkType": "vpc",
        "IoOptimized": instance.io_optimized,
        "CreationTime": to_minute(instance.created_at),
        "StartTime": to_minute(instance.started_at),
        "ExpiredTime": to_minute(instance.expires_at),
        "AutoReleaseTime": "",
        "DeletionProtection": instance.deletion_protection,
        "DeviceAvailable": True,
        "Recyclable": False,
        "SecurityGroupIds": {"SecurityGroupId": [f"sg-emu-{instance.region}"]},
        "VpcAttributes": {
            "VpcId": f"vpc-emu-{instance.region}",
            "VSwitchId": f"vsw-emu-{instance.zone}",
            "NatIpAddress": "",
            "PrivateIpAddress": {"IpAddress": [ip]},
        },
        "PublicIpAddress": {"IpAddress": [instance.public_ip] if instance.public_ip else []},
        "InnerIpAddress": {"IpAddress": []},
        "EipAddress": {"AllocationId": "", "IpAddress": instance.eip, "InternetChargeType": ""},
        "NetworkInterfaces": {
            "NetworkInterface": [
                {
                    "Type": "Primary",
                    "PrimaryIpAddress": ip,
                    "MacAddress": mac,
                    "NetworkInterfaceId": f"eni-{suffix}",
                    "PrivateIpSets": {"PrivateIpSet": [{"PrivateIpAddress": ip, "Primary": True}]},
                }
            ]
        },
        "OperationLocks": {
            "LockReason": [{"LockReason": reason, "LockMsg": message} for reason, message in instance.locks]
        },
        "SpotStrategy": "NoSpot",
        "SpotPriceLimit": 0.0,
        "SaleCycle": "",
        "ResourceGroupId": "",
        "SerialNumber": str(uuid.uuid5(SERIALS, instance.id)),
        "ClusterId": "",
        "VlanId": "",
        "DeploymentSetId": "",
        "CreditSpecification": "",
        "CpuOptions": {"CoreCount": max(1, facts.cpus // 2), "ThreadsPerCore": 2, "Numa": "ON"},
        "MetadataOptions": {"HttpEndpoint": "", "HttpTokens": ""},
        "HibernationOptions": {"Configured": False},
        "ImageOptions": {},
        "PrivateDnsNameOptions": {},
        "DedicatedHostAttribute": {"DedicatedHostId": "", "DedicatedHostName": "", "DedicatedHostClusterId": ""},
        "DedicatedInstanceAttribute": {"Tenancy": "", "Affinity": ""},
        "EcsCapacityReservationAttr": {"CapacityReservationId": "", "CapacityReservationPreference": ""},
    }
    if system.key_pair:
        view["KeyPairName"] = system.key_pair
    if instance.tags:
        view["Tags"] = tag_list(instance.tags)
    return view
