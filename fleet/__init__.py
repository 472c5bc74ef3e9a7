"""Fleet OS: replaces the operating system of whole fleets of Alibaba Cloud ECS instances."""
