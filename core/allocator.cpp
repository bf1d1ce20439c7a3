// How jemalloc keeps the memory of the programs that are linked with it (target reprise_allocator).
//
// Large pages and few arenas: a run touches most of its memory once, and the system has to give and
// clear each page. Threads have caches of their own before an arena is asked.
extern "C" {
extern const char* malloc_conf;  // jemalloc(3), "TUNING"; it reads this before anything else runs
const char* malloc_conf = "thp:always,narenas:2";
}
