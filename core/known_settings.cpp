// The table of settings. Whoever reads a new one adds it here; configs/reprise.toml is made of it.
#include "core/setting.hpp"

namespace reprise {

std::span<const Setting> known_settings() {
  using Kind = Setting::Kind;
  static const std::vector<Setting> table{
      {.key = "data",
       .kind = Kind::path,
       .meaning = "Where runs, journal, cache and blobs are kept.",
       .standard = "",
       .computed = "$XDG_DATA_HOME/reprise, else ~/.local/share/reprise",
       .example = "/var/lib/reprise",
       .trade_off =
           "Must be a local disk: SQLite's locks do not work on most network file systems. "
           "Several processes may share it."},
      {.key = "slots",
       .kind = Kind::number,
       .meaning = "Attempts at once, 1 to 65536.",
       .standard = "",
       .computed = "number of processors",
       .example = "8",
       .trade_off = "More helps tasks that wait (for a network, a disk) and slows those that "
                    "compute.",
       .least = 1,
       .most = 65536},
      {.key = "cpus",
       .kind = Kind::text,
       .meaning = "Processors that tasks may take together, as 4 or 0.5.",
       .standard = "",
       .computed = "one for each slot",
       .example = "6",
       .trade_off = "Fewer than slots lets tasks that say they take half a processor run in "
                    "pairs; more does not make any."},
      {.key = "memory",
       .kind = Kind::text,
       .meaning = "Memory that tasks may declare together, as 24GiB.",
       .standard = "",
       .computed = "what the machine, or the control group, has",
       .example = "24GiB",
       .trade_off =
           "A task that declares more than was said here fails in `reprise run`, and "
           "waits for another worker in a cluster. Where nothing was said it runs alone in "
           "`reprise run`."},
      {.key = "gpus",
       .kind = Kind::number,
       .meaning = "GPUs that tasks may ask for, 0 to 1024. A task that asks finds the indices of "
                  "its own in REPRISE_GPUS and CUDA_VISIBLE_DEVICES.",
       .standard = "0",
       .computed = "",
       .example = "",
       .trade_off = "They are not looked for: say how many there are.",
       .least = 0,
       .most = 1024},
      {.key = "resources",
       .kind = Kind::text,
       .meaning = "Other things that tasks may ask for, with how many there are, as "
                  "license=2,tape=1.",
       .standard = "",
       .computed = "none",
       .example = "license=2,tape=1",
       .trade_off = "They are only counted: what they stand for is the tasks' affair."},
      {.key = "labels",
       .kind = Kind::text,
       .meaning = "Labels that tasks may require, as zone=a,disk=ssd.",
       .standard = "",
       .computed = "none",
       .example = "zone=a,disk=ssd",
       .trade_off = "What requires a label that nobody has waits for whom has it, and fails in "
                    "`reprise run`."},
      {.key = "limits",
       .kind = Kind::text,
       .meaning = "Tasks at once that count against a limit of this name, as db=4,net=10.",
       .standard = "",
       .computed = "none; a flow whose tasks count against others is refused",
       .example = "db=4,net=10",
       .trade_off = "For what is shared by all tasks, wherever they run. Of a server it holds for "
                    "all of its runs, of `reprise run` for that run."},
      {.key = "weights",
       .kind = Kind::text,
       .meaning = "Shares of namespaces of a server beside each other, as urgent=3,nightly=0.5; of "
                  "those not named 1.",
       .standard = "",
       .computed = "all the same",
       .example = "urgent=3,nightly=0.5",
       .trade_off = "Only while more than one of them has something to run."},
      {.key = "lost_limit",
       .kind = Kind::number,
       .meaning = "A task that so many workers in a row were lost with fails, 1 to 1000.",
       .standard = "5",
       .computed = "",
       .example = "",
       .trade_off = "Fewer keeps a task that brings workers down from bringing down many; too few "
                    "fails tasks for what others did.",
       .least = 1,
       .most = 1000},
      {.key = "max_runs",
       .kind = Kind::number,
       .meaning = "Runs that a server has under way at once; what is submitted beyond is refused.",
       .standard = "",
       .computed = "unlimited",
       .example = "1000",
       .trade_off = "Whoever is refused is told so, and tries again.",
       .least = 1,
       .most = 1'000'000},
      {.key = "max_tasks",
       .kind = Kind::number,
       .meaning = "Tasks of those runs, as they were written; what would bring more is refused.",
       .standard = "",
       .computed = "unlimited",
       .example = "1000000",
       .trade_off = "A task takes a few hundred bytes of the server's memory.",
       .least = 1,
       .most = 1'000'000'000},
      {.key = "durability",
       .kind = Kind::word,
       .meaning = "What is on disk before anybody is told: none, group or sync.",
       .standard = "group",
       .computed = "",
       .example = "",
       .trade_off =
           "With none a crash forgets the run, and nothing waits for the disk. With sync a "
           "dependant waits for the disk, too: one sync per step of the flow.",
       .words = {"none", "group", "sync"}},
      {.key = "cache",
       .kind = Kind::word,
       .meaning = "How runs use the cache: normal, refresh, read-only, write-only, off or only.",
       .standard = "normal",
       .computed = "",
       .example = "",
       .trade_off = "refresh runs everything again and keeps the new results; off does neither; "
                    "only fails what is not there.",
       .words = {"normal", "refresh", "read-only", "write-only", "off", "only"}},
      {.key = "account",
       .kind = Kind::text,
       .meaning = "Whose results these are: a part of every key of the cache, so that results of "
                  "another account are never found.",
       .standard = "default",
       .computed = "",
       .example = "",
       .trade_off = "One account for all shares the most. It is a name, not a lock: what others "
                    "may read and write is up to files and servers."},
      {.key = "also_read",
       .kind = Kind::text,
       .meaning = "Accounts whose results are taken, too, where the own one has none, in this "
                  "order, with commas between.",
       .standard = "",
       .computed = "none",
       .example = "acme/main",
       .trade_off = "Work that is tried out uses what is known to be good, and nothing it makes "
                    "gets there before `cache promote`. Each account is one more look-up of what "
                    "misses."},
      {.key = "salt",
       .kind = Kind::text,
       .meaning = "The operator's part of every key of the cache. Another text disowns all results "
                  "that were kept so far.",
       .standard = "",
       .computed = "none",
       .example = "2026-11-21",
       .trade_off = "Everything is computed anew, once. Nothing is deleted: with the old salt, the "
                    "old results are found again."},
      {.key = "task_salts",
       .kind = Kind::text,
       .meaning = "The same for single tasks, by the name in their keys: TASK=SALT, with commas "
                  "between.",
       .standard = "",
       .computed = "none",
       .example = "align=2026-11-21, report=2",
       .trade_off =
           "Disowns the results of these tasks alone; what depends on them runs again only "
           "when they give something else."},
      {.key = "grace",
       .kind = Kind::duration,
       .meaning = "Time a task gets between being asked to stop and being killed; a duration such "
                  "as 250ms, 30s or 1h30m.",
       .standard = "10s",
       .computed = "",
       .example = "",
       .trade_off = "Longer lets programs clean up; cancelling takes as long."},
      {.key = "max_value",
       .kind = Kind::text,
       .meaning =
           "Largest result that is cached, with the files it speaks of; bytes, or a size such "
           "as 512MiB or 2GB.",
       .standard = "1GiB",
       .computed = "",
       .example = "",
       .trade_off = "A larger one is handed on and computed again by the next run; without a limit "
                    "one task may fill the disk."},
      {.key = "out",
       .kind = Kind::path,
       .meaning = "Folder for the files among a run's outputs.",
       .standard = "",
       .computed = "the current folder",
       .example = "results",
       .trade_off = "One folder for all runs is easy to find; a later run replaces the files of an "
                    "earlier one."},
      {.key = "secrets_dir",
       .kind = Kind::path,
       .meaning = "Folder with one file for each secret that a task's `env` asks for as "
                  "secret://NAME.",
       .standard = "",
       .computed = "none; then $CREDENTIALS_DIRECTORY, which systemd sets",
       .example = "/etc/reprise/secrets",
       .trade_off = "Only files that nobody but their owner can read and write are used (mode 0600 "
                    "or 0400)."},
      {.key = "color",
       .kind = Kind::word,
       .meaning = "Colours: auto, always or never.",
       .standard = "auto",
       .computed = "",
       .example = "",
       .trade_off = "No meaning is by colour alone, so never loses nothing. Above NO_COLOR and the "
                    "like, which auto respects.",
       .words = {"auto", "always", "never"}},
      {.key = "progress",
       .kind = Kind::word,
       .meaning = "How a run is shown: auto, bar, counter, json or none.",
       .standard = "auto",
       .computed = "",
       .example = "",
       .trade_off =
           "bar redraws at most ten times a second; counter is one line per finished task. "
           "auto is bar on a terminal, else counter.",
       .words = {"auto", "bar", "counter", "json", "none"}},
      {.key = "isolation",
       .kind = Kind::word,
       .meaning = "Which functions a worker runs in processes of their own: process for all of "
                  "users, task for those whose tasks ask for it.",
       .standard = "process",
       .computed = "",
       .example = "",
       .trade_off = "A function in the worker's own process starts sooner by some 10 us, and one "
                    "that crashes takes the worker along.",
       .words = {"process", "task"}},
      {.key = "server",
       .kind = Kind::text,
       .meaning = "Server that commands with --server ask, and that a worker serves, as host:port; "
                  "several, with commas between, are tried one after the other.",
       .standard = "",
       .computed = "none: commands look into the data directory, a worker serves 127.0.0.1:4747",
       .example = "scheduler.lan:4747",
       .trade_off =
           "Set, `status`, `ps`, `wait` and the like are about the server's runs; those of "
           "`reprise run` are seen without it."},
      {.key = "listen",
       .kind = Kind::text,
       .meaning = "Where a server listens, as host:port; port 0 is any that is free.",
       .standard = "127.0.0.1:4747",
       .computed = "",
       .example = "",
       .trade_off = "Beyond loopback a server only starts with certificates (link.certs)."},
      {.key = "suspect_after",
       .kind = Kind::duration,
       .meaning = "A worker that a server has not heard of so long gets no new work.",
       .standard = "3s",
       .computed = "",
       .example = "",
       .trade_off = "Shorter keeps work from workers in trouble; too short starves those behind a "
                    "slow network."},
      {.key = "lost_after",
       .kind = Kind::duration,
       .meaning = "A worker that a server has not heard of so long is given up; others do its work "
                  "again.",
       .standard = "10s",
       .computed = "",
       .example = "",
       .trade_off = "Shorter goes on sooner after a crash; too short does work twice after a "
                    "pause that would have ended."},
      {.key = "reconcile_window",
       .kind = Kind::duration,
       .meaning =
           "After the start of a server, runs that go on wait so long for workers that still "
           "have their attempts.",
       .standard = "3s",
       .computed = "",
       .example = "",
       .trade_off = "Shorter goes on sooner when workers died with the server; too short does work "
                    "twice that was alive. Workers try every second to come back."},
      {.key = "orphan_after",
       .kind = Kind::duration,
       .meaning = "A worker that has heard nothing of a server so long ends what it runs.",
       .standard = "60s",
       .computed = "",
       .example = "",
       .trade_off = "Longer than a server is away at a restart: then its work goes on. Shorter "
                    "ends sooner what is done twice when a worker is cut off."},
      {.key = "link.secret_file",
       .kind = Kind::secret_file,
       .meaning = "File with the secret that all nodes share, at least 32 bytes.",
       .standard = "",
       .computed = "link.secret in the data directory, which a server makes when it is missing",
       .example = "/etc/reprise/link.secret",
       .trade_off = "For one machine and laboratories: whoever has it may be any node."},
      {.key = "link.certs",
       .kind = Kind::path,
       .meaning = "Folder with this node's certificates, made by `reprise cluster add-node`.",
       .standard = "",
       .computed = "none: the secret",
       .example = "/etc/reprise/node-1",
       .trade_off = "Each node can be only what its certificate says, and what travels is "
                    "encrypted. Instead of a secret, not with it."},
      {.key = "journal.url",
       .kind = Kind::text,
       .meaning = "Redis server in which several servers share their journal, as "
                  "redis://[user@]host[:port][/database]. One of them leads; the others follow, "
                  "each in a data directory of its own, and take over.",
       .standard = "",
       .computed = "none: the journal is the data directory's",
       .example = "redis://127.0.0.1:6380",
       .trade_off = "What is acknowledged waits for this server and for the own disk. It must not "
                    "evict (maxmemory-policy noeviction) and has to write an append-only file; "
                    "others are refused."},
      {.key = "journal.password_file",
       .kind = Kind::secret_file,
       .meaning = "File whose first line is the password for journal.url.",
       .standard = "",
       .computed = "no password",
       .example = "/etc/reprise/journal-password",
       .trade_off = "Whoever may write to that server can make up runs: give it a password, or a "
                    "user of its own."},
      {.key = "journal.lead_term",
       .kind = Kind::duration,
       .meaning = "A leader that renewed nothing for so long is replaced.",
       .standard = "5s",
       .computed = "",
       .example = "",
       .trade_off = "Shorter takes over sooner; too short changes leaders at every hiccup. Nothing "
                    "is lost or doubled either way."},
      {.key = "redis.url",
       .kind = Kind::text,
       .meaning = "Server that keeps cached results for several nodes, as "
                  "redis://[user@]host[:port][/database] or unix:/path/of/socket; \"?prefix=NAME\" "
                  "after it is "
                  "for those who share a server and not what is on it.",
       .standard = "",
       .computed = "none: results are shared by those who share the data directory",
       .example = "redis://127.0.0.1:6379",
       .trade_off =
           "A look-up that misses here costs a round trip. A server that is slow or away is "
           "a miss, never a failure."},
      {.key = "redis.password_file",
       .kind = Kind::secret_file,
       .meaning = "File whose first line is the password for redis.url.",
       .standard = "",
       .computed = "no password",
       .example = "/etc/reprise/redis-password",
       .trade_off =
           "Whoever may write to the server decides what others take for results: give it a "
           "password, or a user of its own."},
      {.key = "redis.mac_key_file",
       .kind = Kind::secret_file,
       .meaning =
           "File of keys that sign results kept in redis.url, one per line, 64 hex digits or "
           "more; the first one signs, what any of them signed is taken.",
       .standard = "",
       .computed = "none: whoever may write to the server is believed",
       .example = "/etc/reprise/mac-keys",
       .trade_off =
           "With it, results that somebody without a key wrote or moved are misses (bad_mac). All "
           "nodes need it; unsigned results kept before are computed once more."},
  };
  return table;
}

}  // namespace reprise
