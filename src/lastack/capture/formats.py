"""Recognition of files by their first bytes: captures, compressed streams, and what else people hand in by mistake."""

from __future__ import annotations

#: First bytes of compressed streams that are read as they are.
COMPRESSIONS = {
    "gzip": (b"\x1f\x8b\x08",),
    "zstd": (b"\x28\xb5\x2f\xfd",),
    "bzip2": tuple(b"BZh%d" % level for level in range(1, 10)),
    "xz": (b"\xfd7zXZ\x00",),
    "lz4": (b"\x04\x22\x4d\x18",),
}

#: First bytes of a classic pcap file as written by a little-endian host: (nanoseconds?, record header, extra header).
PCAP_MAGICS = {
    0xA1B2C3D4: (False, 16, 0),
    0xA1B23C4D: (True, 16, 0),
    0xA1B2CD34: (False, 24, 0),  # Kuznetsov's patch: interface, protocol and packet type follow the lengths
    0xA12B3C4D: (True, 16, 0),  # Navtel
}

PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"

_EDITCAP = "convert it: editcap {name} out.pcapng"
_UNPACK = "unpack it first"
_OTHERS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"snoop\0\0\0", "a Solaris snoop capture", _EDITCAP),
    (0, b"btsnoop\0", "a Bluetooth snoop capture", "it holds no IP packets"),
    (0, b"GMBU", "a Microsoft Network Monitor 2 capture", _EDITCAP),
    (0, b"RTSS", "a Microsoft Network Monitor 1 capture", _EDITCAP),
    (0, b"TRSNIFF data", "a DOS Sniffer capture", _EDITCAP),
    (0, b"XCP\0", "a NetXray or Windows Sniffer capture", _EDITCAP),
    (0, b"iptrace ", "an AIX iptrace capture", _EDITCAP),
    (0, b"\x00\x01\x00\x00\x00\x00", "perhaps a raw device dump", "give a pcap or pcapng file"),
    (0, b"\x7fELF", "a program", "give a pcap or pcapng file"),
    (0, b"PAR1", "a Parquet file", "give the folder of the dataset, or a pcap or pcapng file"),
    (0, b"ARROW1", "an Arrow file", "give a pcap or pcapng file"),
    (0, b"SQLite format 3", "an SQLite database", "give a pcap or pcapng file"),
    (0, b"%PDF", "a PDF document", "give a pcap or pcapng file"),
    (0, b"\x89PNG", "a picture", "give a pcap or pcapng file"),
    (0, b"PK\x03\x04", "a ZIP archive", _UNPACK + ": unzip {name}"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK + ": 7z x {name}"),
    (0, b"Rar!", "a RAR archive", _UNPACK),
    (0, b"\x1f\x9d", "a compress (.Z) file", _UNPACK + ": gzip -d {name}"),
    (0, b"\x02\x21\x4c\x18", "an LZ4 file of the legacy format", _UNPACK + ": lz4 -d {name}"),
    (0, b"\x5d\x00\x00", "an LZMA file of the old format", _UNPACK + ": xz -d --format=lzma {name}"),
    (257, b"ustar", "a tar archive", _UNPACK + ": tar xf {name}"),
    (0, b"HTTP/1.", "an answer of a web server", "download the capture again and look at what came"),
)
_MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")


def compression_of(head: bytes) -> str | None:
    """Return the name of the compression that a stream begins with, or None."""
    if len(head) >= 8 and head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F:
        # A skippable frame, which zstd and lz4 share: what follows it decides.
        after = 8 + int.from_bytes(head[4:8], "little")
        return compression_of(head[after:]) or "zstd"
    for name, magics in COMPRESSIONS.items():
        if head.startswith(magics):
            return name
    return None


def capture_kind(head: bytes) -> str | None:
    """Return `pcap` or `pcapng` if a stream begins like one, or None."""
    if head.startswith(PCAPNG_MAGIC):
        return "pcapng"
    if len(head) >= 4 and any(int.from_bytes(head[:4], order) in PCAP_MAGICS for order in ("little", "big")):
        return "pcap"
    return None


def _looks_like_erf(head: bytes) -> bool:
    """Tell whether records of an Endace ERF file follow each other (it has no magic number)."""
    position, records = 0, 0
    while position + 16 <= len(head):
        kind, size = head[position + 8] & 0x7F, int.from_bytes(head[position + 10 : position + 12], "big")
        seconds = int.from_bytes(head[position + 4 : position + 8], "little")
        if not 1 <= kind <= 27 or size < 16 or not 631_152_000 <= seconds < 4_102_444_800:
            return False
        position, records = position + size, records + 1
    return records > 0


def what_it_looks_like(head: bytes, name: str) -> tuple[str, str]:
    """Return what a stream that is no capture seems to be, and the remedy, in words."""
    for offset, magic, what, remedy in _OTHERS:
        if head[offset : offset + len(magic)] == magic:
            return what, remedy.format(name=name)
    if head.lstrip()[:16].lower().startswith(_MARKUP):
        return "a web page or XML", "download the capture again and look at what came"
    if not head.strip(b"\0"):
        return "only zero bytes", "the file was probably never written: capture or copy it again"
    if _looks_like_erf(head):
        return "an Endace ERF capture", _EDITCAP.format(name=name)
    sample = head[:256]
    if len(sample) >= 4 and all(byte >= 0x20 or byte in b"\t\r\n\f\x1b" for byte in sample):
        start = sample.split(b"\n")[0][:40].decode("utf-8", "replace").strip()
        if start.isprintable() and "\ufffd" not in start[:-1]:
            return (
                f"text ({start!r}…)",
                "write captures with tcpdump -w FILE, or convert a hex dump with text2pcap",
            )
    return (
        f"an unknown format (first bytes {head[:8].hex(' ')})",
        "give a pcap or pcapng file, plain or compressed",
    )
