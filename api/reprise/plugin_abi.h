/* What a plugin and the program that loads it agree on: plain C, so that neither cares which
 * compiler and standard library made the other. Users of the C++ API want reprise/plugin.hpp.
 *
 * A plugin exports one symbol, reprise_plugin, a reprise_plugin_v1. The loading program reads `abi`
 * before anything else. What changes below raises REPRISE_PLUGIN_ABI. */
#ifndef REPRISE_PLUGIN_ABI_H
#define REPRISE_PLUGIN_ABI_H

#include <stddef.h>
#include <stdint.h>

#define REPRISE_PLUGIN_ABI 1

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that are somebody else's; data == NULL: none. */
typedef struct reprise_bytes {
  const char* data;
  size_t size;
} reprise_bytes;

/* What a body can ask about its attempt while it runs. Values are canonical bytes. What comes back
 * is valid until the next question. */
typedef struct reprise_about {
  void* self;
  reprise_bytes (*run_id)(void* self);
  reprise_bytes (*flow_name)(void* self);
  reprise_bytes (*task_name)(void* self);
  int64_t map_index; /* -1: no element of a mapped task */
  uint32_t run_count;
  uint32_t loop_count;
  int64_t run_started_ns;                                     /* since 1970 */
  reprise_bytes loop_result;                                  /* none: there is none */
  reprise_bytes (*parameter)(void* self, reprise_bytes name); /* none: there is none */
  reprise_bytes (*entry)(void* self, reprise_bytes key);      /* of the context; none: no such */
  int (*is_stopping)(void* self);
  /* Calls `stop` with `argument`, from another thread, once the attempt is to stop; at most one at
   * a time: the next call replaces it, and NULL removes it and waits until it has returned. */
  void (*on_stop)(void* self, void (*stop)(void* argument), void* argument);
} reprise_about;

typedef enum reprise_ending {
  REPRISE_RETURNED = 0, /* `value` is the result */
  REPRISE_THROWN = 1,   /* `type` and `message` say what */
  REPRISE_SKIP = 16,    /* these and the following: a signal, with `message` and maybe `value` */
  REPRISE_FAIL = 17,
  REPRISE_SUCCESS = 18,
  REPRISE_RETRY = 19,
  REPRISE_PAUSE = 20,
  REPRISE_LOOP = 21,
  REPRISE_TRIGGER_FAIL = 22,
  REPRISE_VALIDATION_FAIL = 23
} reprise_ending;

/* How a body ended; the bytes are the plugin's until `answer` has returned. */
typedef struct reprise_answer {
  reprise_ending ending;
  reprise_bytes value;
  reprise_bytes message;
  reprise_bytes type;
  reprise_bytes uncacheable; /* why the value must not be kept; none: it may be */
  int has_start_in;
  int64_t start_in_ns;
} reprise_answer;

typedef struct reprise_plugin_task {
  const char* name;
  const char* version;
  size_t inputs;
  const char* const* input_names;
  const char* const* input_types;
  size_t outputs; /* 0 or 1 */
  const char* const* output_types;
  /* Runs the body, and calls `answer` exactly once before it returns. An argument without data is
   * one that there is no value for. */
  void (*call)(void* body, const reprise_bytes* arguments, size_t count, const reprise_about* about,
               void (*answer)(void* to, const reprise_answer* how), void* to);
  void* body;
} reprise_plugin_task;

typedef struct reprise_plugin_v1 {
  uint32_t abi;      /* REPRISE_PLUGIN_ABI */
  uint32_t size;     /* sizeof(reprise_plugin_v1) */
  const char* built; /* compiler and version, for messages */
  size_t (*count)(void);
  const reprise_plugin_task* (*task)(size_t index);
} reprise_plugin_v1;

#ifdef __cplusplus
}
#endif

#endif
