"""DescribeRegions, DescribeInstanceTypes."""

from fleet.emulator.contract.call import Call
from fleet.emulator.contract.paging import cut, page_of
from fleet.emulator.contract.registry import Answer, action
from fleet.emulator.world.catalogue import REGIONS, TYPES, TypeFacts


@action("DescribeRegions", scope="anywhere", honoured="", ignored="InstanceChargeType ResourceType AcceptLanguage")
def describe_regions(call: Call) -> Answer:
    """List the regions."""
    regions = [
        {
            "RegionId": region.id,
            "LocalName": region.name,
            "RegionEndpoint": f"ecs.{region.id}.aliyuncs.com",
            "Status": "available",
        }
        for region in REGIONS.values()
    ]
    return {"Regions": {"Region": regions}}


@action(
    "DescribeInstanceTypes",
    scope="anywhere",
    honoured=(
        "InstanceTypes.N InstanceTypeFamily InstanceTypeFamilies.N CpuArchitecture CpuArchitectures.N NextToken MaxResults"
    ),
    ignored=(
        "GPUSpec GpuSpecs.N InstanceCategory InstanceCategories.N LocalStorageCategories.N MaximumCpuTurboFrequency "
        "PhysicalProcessorModels.N InstanceFamilyLevel LocalStorageCategory MaximumCpuCoreCount MaximumGPUAmount "
        "MaximumMemorySize MinimumBaselineCredit MinimumCpuCoreCount MinimumCpuSpeedFrequency "
        "MinimumCpuTurboFrequency MinimumDiskQuantity MinimumEniIpv6AddressQuantity "
        "MinimumEniPrivateIpAddressQuantity MinimumEniQuantity MinimumEriQuantity MinimumGPUAmount "
        "MinimumInitialCredit MinimumInstanceBandwidthRx MinimumInstanceBandwidthTx MinimumInstancePpsRx "
        "MinimumInstancePpsTx MinimumLocalStorageAmount MinimumLocalStorageCapacity MinimumMemorySize "
        "MinimumPrimaryEniQueueNumber MinimumQueuePairNumber MinimumSecondaryEniQueueNumber NvmeSupport "
        "PhysicalProcessorModel ProcessorModel MaximumCpuSpeedFrequency "
        "AdditionalAttributes.N Filter.N.Key Filter.N.Value EnableVISST EnableVRDT"
    ),
)
def describe_instance_types(call: Call) -> Answer:
    """List instance types with what a replacement must know: architecture, memory, family."""
    names = call.params.repeated("InstanceTypes")
    families = {*call.params.repeated("InstanceTypeFamilies"), call.params.get("InstanceTypeFamily")} - {""}
    architecture = call.params.choice("CpuArchitecture", "X86", "ARM")
    architectures = {*call.params.repeated("CpuArchitectures"), architecture} - {""}

    def wanted(one: TypeFacts) -> bool:
        fitting = not architectures or one.architecture in architectures
        return fitting and (not names or one.id in names) and (not families or one.family in families)

    page = page_of(call.params, tokens=True, default=100)
    if not page.by_token:
        page = page_of(call.params, most=1600, default=1600)
    found, fields = cut(page, list(TYPES.values()), wanted)
    types = [_type(one) for one in found]
    return {"InstanceTypes": {"InstanceType": types}, "NextToken": fields["NextToken"]}


def _type(one: TypeFacts) -> Answer:
    return {
        "InstanceTypeId": one.id,
        "InstanceTypeFamily": one.family,
        "CpuCoreCount": one.cpus,
        "MemorySize": float(one.memory),
        "CpuArchitecture": one.architecture,
        "GPUAmount": 0,
        "GPUSpec": "",
        "EniQuantity": 3,
        "EniPrivateIpAddressQuantity": 6,
        "InstanceBandwidthRx": 1024000,
        "InstanceBandwidthTx": 1024000,
        "InstancePpsRx": 300000,
        "InstancePpsTx": 300000,
        "InstanceFamilyLevel": "EnterpriseLevel",
        "InstanceCategory": "General-purpose",
        "DiskQuantity": 17,
        "NvmeSupport": "unsupported",
        "LocalStorageCategory": "",
        "InitialCredit": 0,
        "BaselineCredit": 0,
    }
