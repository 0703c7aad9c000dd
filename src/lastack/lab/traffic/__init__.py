"""Many TCP flows between two programs, with every step of each flow's life told by both of its ends."""

from lastack.lab.traffic.agent import Agent, Limits
from lastack.lab.traffic.plan import CLOSES, FlowPlan, deal
from lastack.lab.traffic.report import Finding, FlowReport, Summary, summarise
from lastack.lab.traffic.runner import Runner

__all__ = [
    "CLOSES",
    "Agent",
    "Finding",
    "FlowPlan",
    "FlowReport",
    "Limits",
    "Runner",
    "Summary",
    "deal",
    "summarise",
]
