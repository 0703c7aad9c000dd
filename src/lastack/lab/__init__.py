"""Network namespaces, real kernel stacks, and the patterns of opening and closing that they make."""

from lastack.lab.host import Host
from lastack.lab.netns import LabError, missing
from lastack.lab.topology import TOPOLOGIES, Lab
from lastack.lab.waiting import wait_until

__all__ = ["TOPOLOGIES", "Host", "Lab", "LabError", "missing", "wait_until"]
