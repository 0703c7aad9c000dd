"""The facts of a capture file as a page, and as JSON values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lastack.capture.info import CaptureInfo, InterfaceInfo
from lastack.model.units import format_duration, format_size
from lastack.tracking.ledger import Ledger
from lastack.view.cells import count, instant, plural, share, words
from lastack.view.page import Page
from lastack.wire.linktypes import LINK_TYPES

_NAMES = {link.number: link.name for link in LINK_TYPES}
_SHOWN_PROBLEMS = 10


def render_info(
    info: CaptureInfo, ledger: Ledger | None, width: int | None = None, colour: bool | None = None
) -> str:
    """Return the page of one capture.

    Args:
        info: The file's facts.
        ledger: Where its packets go, if they were decoded.
        width: Characters of a line.
        colour: Show colours.
    """
    page = Page(width, colour)
    page.heading(info.name)
    for text in (*_file(info), *_packets(info)):
        page.say(text)
    for interface in info.interfaces:
        page.heading(*_interface_title(interface))
        for text in _interface(interface):
            page.say(text)
    if ledger is not None:
        _ledger(page, ledger)
    if info.problem_count:
        page.heading(plural(info.problem_count, "flaw"))
        for problem in info.problems[:_SHOWN_PROBLEMS]:
            page.say(str(problem), indent="  • ", hang="    ")
        if info.problem_count > _SHOWN_PROBLEMS:
            page.say(f"and {count(info.problem_count - _SHOWN_PROBLEMS)} more")
    return page.text()


def info_json(info: CaptureInfo, ledger: Ledger | None) -> dict[str, Any]:
    """Return the facts as JSON values."""
    facts = asdict(info)
    facts["problems"] = [str(problem) for problem in info.problems]
    if ledger is not None:
        facts["ledger"] = {
            "packets": ledger.packets,
            "segments": ledger.segments,
            "stray": ledger.stray,
            "drops": {drop.name: number for drop, number in ledger.drops.items()},
            "encaps": {encap.name: number for encap, number in ledger.encaps.items()},
            "links": {str(link): number for link, number in ledger.links.items()},
        }
    return facts


def link_name(number: int) -> str:
    """Return a link type as people know it, with its number."""
    return f"{_NAMES[number]} ({number})" if number in _NAMES else f"link type {number}, not known"


def _file(info: CaptureInfo) -> list[str]:
    packed = f", {info.compression}" if info.compression else ""
    size = "" if info.size_bytes is None else f", {format_size(info.size_bytes)}"
    if info.compression and info.stream_bytes:
        size += f" ({format_size(info.stream_bytes)} unpacked)"
    order = f", {info.byte_order}-endian" if info.byte_order in ("big", "little") else ", mixed byte orders"
    texts = [f"{info.kind} {info.version}{order}{packed}{size}"]
    if info.sections > 1:
        texts.append(f"{info.sections} sections")
    made = ", ".join(part for part in (info.application, info.os, info.hardware) if part)
    if made:
        texts.append(f"written by {made}")
    return [*texts, *(f"comment: {comment}" for comment in info.comments[:5])]


def _packets(info: CaptureInfo) -> list[str]:
    if info.packets == 0 or info.first_ns is None or info.last_ns is None:
        return ["no packet"]
    texts = [
        f"{plural(info.packets, 'packet')}, {format_size(info.wire_bytes)} on the wire, "
        f"{format_size(info.captured_bytes)} captured",
        f"{instant(info.first_ns)} to {instant(info.last_ns)} UTC ({format_duration(info.last_ns - info.first_ns)})",
    ]
    if info.truncated:
        part = share(info.truncated, info.packets)
        texts.append(
            f"{count(info.truncated)} packets ({part}) were cut by the snap length: payload counts are whole"
        )
    if info.backwards:
        step = format_duration(info.largest_step_back_ns)
        texts.append(f"{plural(info.backwards, 'packet')} earlier than the one before, by up to {step}")
    if info.untimed:
        texts.append(f"{plural(info.untimed, 'packet')} in blocks that have no time")
    return texts


def _interface_title(interface: InterfaceInfo) -> tuple[str, str]:
    about = interface.about
    title = about.name or about.description or "no name"
    return f"Interface {about.number}: {title}", plural(interface.packets, "packet")


def _interface(interface: InterfaceInfo) -> list[str]:
    about = interface.about
    snap = f"snap length {about.snaplen:,}" if about.snaplen else "no snap length"
    texts = [f"{link_name(about.link)}, {snap}, times in steps of {about.resolution_text}"]
    if about.offset_s:
        texts.append(f"times are moved by {about.offset_s} s")
    if about.filter:
        texts.append(f"capture filter: {about.filter}")
    lost = [("by the interface", about.dropped), ("by the operating system", about.os_dropped)]
    told = [f"{count(number)} {by}" for by, number in lost if number]
    if told:
        texts.append(f"packets lost when capturing: {', '.join(told)}: sessions may have holes")
    return texts


def _ledger(page: Page, ledger: Ledger) -> None:
    page.heading("Where its packets go", plural(ledger.packets, "packet"))
    rows = [["TCP, in sessions", count(ledger.segments), share(ledger.segments, ledger.packets)]]
    if ledger.stray:
        rows.append(["TCP, stray", count(ledger.stray), share(ledger.stray, ledger.packets)])
    for drop, number in sorted(ledger.drops.items(), key=lambda item: -item[1]):
        if number:
            rows.append([words(drop.name), count(number), share(number, ledger.packets)])
    page.grid(rows, "lrr")
    carried = [f"{encap.name} {count(number)}" for encap, number in sorted(ledger.encaps.items()) if number]
    if carried:
        page.say(f"TCP segments by what carries them: {', '.join(carried)}", hang="    ")
