"""What docs/BENCHMARKS.md says beside the figures."""

INTRODUCTION = """# Benchmarks

Made by `scripts/bench`; do not edit. Every figure comes from seeds, real coordinator and reader
processes, and rounds that alternate between this store and its peers in one run; each is the median
of its rounds. Compare **ratios** (ours / theirs, in brackets): they hold where the machine is
another, or busy. For figures a second more is better, for times and bytes less.

The workload: concepts under random 16-byte ids with 146 bytes of content and 24 of fields, and five
typed edges for each, both ways, whose numbers follow Zipf's law. All stores gave the same answers
before anything was measured.

    scripts/bench --quick                 # everything, small, some minutes
    scripts/bench                         # a million concepts
    scripts/bench --up-to 10000000 growth # one suite; the page keeps the others' figures
"""

#: Suites in the order of the page: a title, and what must be known to read the table.
SUITES = {
    "reads": (
        "Gets",
        "A held snapshot, single process and two. `get record` finds the fixed part, `get content` "
        "touches each cache line of the content too. Single operations are timed between fences.",
    ),
    "graph": (
        "Graph",
        "petgraph has the graph in the memory of the one process that built it. Stores without "
        "paths of their own run the same breadth-first search over their lists. Best paths are by "
        "the product of confidences. Beside a writer: it appends 100,000 edges a second.",
    ),
    "vectors": ("Vectors", "docs/VECTORS.md tells what the figures mean."),
    "writes": (
        "Writes",
        "In bulk over the socket, with the log's last sync; peers write in their own process, in "
        "transactions of 100,000. `floor` is a sync of one page and a bare round trip. Peers' "
        "single commits have no other process to reach. Visible at 0: readers saw it before its "
        "acknowledgement came.",
    ),
    "open": ("Opening", "A get of one concept in a store that was just opened."),
    "memory": (
        "Memory and disk",
        "What a reader takes that is its own, more than before it opened the store. Redis keeps all "
        "in its server instead. The disk is that of all files, logs included, which for this store "
        "are recycled and do not grow with it.",
    ),
    "mixed": (
        "A reader beside a saturating writer",
        "Both on two cores; the reader takes a new snapshot every 1,024 gets. The writer writes new "
        "versions of random concepts in frames or transactions of 1,024, not synced.",
    ),
    "recovery": ("After kill -9", "The coordinator is killed under a writer; another starts."),
    "ipc": (
        "Why a plain socket",
        "240 bytes there, 64 back, to another process. A durable write waits for a sync of some "
        "hundred microseconds beside, so speed does not decide. What does: with a socket the other "
        "end learns that its peer died, is told who it is, and many clients meet at one address. "
        "ipc-channel serves one client an address and sends without a bound. raw_sync's mutex and "
        "events do not survive a killed holder, and waiting stores into the map, which a reader "
        "here cannot do. The futex is what readers wait on for the next version: it needs but a "
        "read-only mapping.",
    ),
    "growth": (
        "How cost grows",
        "The same at ten times the size. What a write does must not grow with the store; what reads "
        "gain is misses of the caches and of the TLB.",
    ),
    "hostile": (
        "Beside bad clients",
        "A good client's durable writes beside one of each kind, against the same without.",
    ),
}

#: What limits a figure whose target does not hold. Instructions are those of benches/counts.json.
NOTES = {
    ("reads", "get content"):
        "675 instructions against 389 for the record alone: the blob's bounds and its UTF-8 are "
        "checked at each borrow; mmap-sync checks nothing. A get takes as long among others as alone "
        "(`get content p50`), so the misses of one do not overlap with the next one's",
    ("reads", "get record, 2 processes over 1"):
        "not found: nothing is shared but the caches and the memory, and peers differ as much",
    ("reads", "get record, 256 ids a call"):
        "not found; the target was set on another processor (Zen 4)",
    ("reads", "get absent"):
        "not found; the target was set on another processor (Zen 4)",
    ("graph", "neighbors"):
        "a call takes as long among others as alone: its misses do not overlap with the next one's. "
        "Asked for 256 concepts a call they do",
    ("graph", "neighbors p99"): "probably hubs, whose lists are several blocks",
    ("graph", "path of 3, forward p99"):
        "as long as petgraph takes in the same run: behind a hub, the number of edges decides",
    ("graph", "neighbors beside a writer over idle"):
        "three busy threads (reader, coordinator, writer) on two cores; single calls are as fast as "
        "idle (p50, p99 below)",
    ("writes", "bulk concepts"):
        "one thread decides, logs and applies (`coordinator's time a concept`), and shares two cores "
        "with the sender",
    ("writes", "bulk edges"):
        "likewise (`coordinator's time an edge`): an edge touches both ends' columns, lists and the "
        "edge index, each a miss",
    ("writes", "file size"):
        "blocks of lists and segments of indexes double, and regions grow ahead; a compaction places "
        "each list in one block",
    ("writes", "pipelined, not synced"):
        "each write is a frame of its own with an answer of its own",
    ("writes", "32 clients, durable"): "32 writing threads and the coordinator's on two cores",
    ("recovery", "kill to serving p99"):
        "`kill to gone` is the kernel's; the rest is the next coordinator's start",
}
