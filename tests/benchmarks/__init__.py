"""How fast, how lean: our service beside the tools that people would use instead.

``make bench`` measures all of it on one machine in one go, in about half an hour, and writes a
Markdown table (build/bench/bench.md) and a picture of it (build/bench/bench.svg). On a machine
where nothing else runs: what disturbs it shows in the ranges.

    make bench ARGS=--quick                       a look at everything, in a few minutes
    make bench ARGS="--only noop small"           some topics
    make bench ARGS="--only noop --rounds 5 --sizes 20000 --peers jobspool dramatiq"
    make bench ARGS=--help

It needs Linux, and of Debian's packages redis-server, postgresql, nginx-light, and the pages of
python3-doc and postgresql-doc-15. The peers' libraries are installed into build/bench-peers, at
the versions of the day (requirements.txt here). What is missing is named in the report with the
reason; all else is measured.
"""
