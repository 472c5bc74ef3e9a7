"""A local endpoint of the ECS API: the provider's side of the contract, alone, without Django and without the rest of us."""
