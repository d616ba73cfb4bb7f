// A libcuda without a GPU. It executes no kernel. Copies and fills happen, in the
// order of each stream and as late as is legal: when the host or another stream waits
// for them. It keeps books of all that is taken, and of every rule that its caller
// breaks; one is that two streams touch the same memory in an order that something sees to.
//
// A test talks to it by the fake_ functions, or from outside of its process by
// $FAKE_CUDA, words such as count=0 (a setting) or cuMemAlloc_v2=3:2 (the third
// call of a function fails with code 2).
#define _GNU_SOURCE
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned int u32;
typedef uint64_t u64;

enum { INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, DEINITIALIZED = 4, INVALID_DEVICE = 101, NO_DEVICE = 100, INVALID_IMAGE = 200, INVALID_CONTEXT = 201,
       INVALID_HANDLE = 400, ILLEGAL_STATE = 401, NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901, CAPTURE_ISOLATION = 905 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread u64 current;

// ---- settings

static struct {
  char name[32];
  int64_t value;
} settings[] = {{"version", 13000}, {"count", 1}, {"major", 9}, {"minor", 0}, {"memory", 1ll << 34}, {"taken", 0}, {"shared", 232448}, {"late", 0}};

static int64_t* setting(const char* name) {
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
    if (!strcmp(settings[i].name, name)) return &settings[i].value;
  abort();
}

// ---- books

enum { STREAMS = 16 };  // at most, at a time

// A moment is, for each stream, the last of its ops that are done by then.
typedef struct {
  u64 of[STREAMS];
} moment;

enum kind { CONTEXT, STREAM, EVENT, BUFFER, PINNED, MODULE, FUNCTION, GRAPH, EXEC };
static const char* const kinds[] = {"context", "stream", "event", "buffer", "pinned memory", "module", "function", "graph", "executable graph"};

typedef struct {
  enum kind kind;
  u64 handle, bytes, of;  // of: a function's module, a context's retains, the stream that an event was recorded in
  int index;              // a stream's, among all
  moment knows;           // what is done before the next op of a stream, or at an event
  int timing;
  u64 recorded;           // the op that is an event; 0: none
  u64 at;                 // an event's moment
  int64_t shared, params; // a function's
  char* image;            // a module's code, or a graph's ops
} thing;

static thing* things;
static int count, room;
static u64 next_handle = 0x1000, clock_now, launches;
static int initialised, sticky;
static char broken[4096], trace[1 << 16];
static int tracing;

static void rule(const char* format, ...) {
  va_list list;
  va_start(list, format);
  size_t n = strlen(broken);
  vsnprintf(broken + n, sizeof broken - n, format, list);
  va_end(list);
  n = strlen(broken);
  if (n + 1 < sizeof broken) strcpy(broken + n, "\n");
}

static void note(const char* format, ...) {
  if (!tracing) return;
  va_list list;
  va_start(list, format);
  size_t n = strlen(trace);
  vsnprintf(trace + n, sizeof trace - n, format, list);
  va_end(list);
}

static thing* add(enum kind kind, u64 handle) {
  if (count == room) things = realloc(things, (room = 2 * room + 16) * sizeof *things);
  thing* t = &things[count++];
  memset(t, 0, sizeof *t);
  t->kind = kind;
  t->handle = handle ? handle : (next_handle += 16);
  return t;
}

static thing* get(enum kind kind, u64 handle) {
  for (int i = 0; i < count; i++)
    if (things[i].kind == kind && things[i].handle == handle) return &things[i];
  rule("there is no %s %#llx", kinds[kind], (unsigned long long)handle);
  return 0;
}

static void drop(thing* t) { *t = things[--count]; }

static int inside(enum kind kind, u64 p, u64 n) {
  for (int i = 0; i < count; i++)
    if (things[i].kind == kind && p >= things[i].handle && n <= things[i].bytes && p - things[i].handle <= things[i].bytes - n) return 1;
  return 0;
}

// ---- failures on demand

static struct {
  char function[64], fired[64];  // what is to fail, and what did
  int nth, code;
} failure;

static int enter(const char* function, int context) {
  pthread_mutex_lock(&lock);
  note("%s ", function);
  if ((!*failure.function || !strcmp(function, failure.function)) && failure.nth > 0 && --failure.nth == 0) {
    snprintf(failure.fired, sizeof failure.fired, "%s", function);
    if (failure.code >= 700 && failure.code <= 719 && failure.code != 701) sticky = failure.code;
    return failure.code;
  }
  if (!initialised && strcmp(function, "cuInit")) return NOT_INITIALIZED;
  if (sticky && context) return sticky;
  if (context && !current) {
    rule("%s without a context", function);
    return INVALID_CONTEXT;
  }
  return 0;
}

static int leave(int code) {
  pthread_mutex_unlock(&lock);
  return code;
}

#define ENTER(context)                     \
  int code_ = enter(__func__, context);    \
  if (code_) return leave(code_)

__attribute__((constructor)) static void begin(void) {
  const char* text = getenv("FAKE_CUDA");
  if (!text) return;
  char* copy = strdup(text);
  for (char *rest = copy, *word; (word = strsep(&rest, " "));) {
    char* value = strchr(word, '=');
    if (!value) continue;
    *value++ = 0;
    if (strncmp(word, "cu", 2)) *setting(word) = atoll(value);  // aborts where there is none
    else if (sscanf(value, "%d:%d", &failure.nth, &failure.code) == 2) snprintf(failure.function, sizeof failure.function, "%s", word);
    else abort();
  }
  free(copy);
}

// ---- streams

typedef struct {
  int what;  // 'w' to the device, 'r' to the host, 'd' within the device, 'f' fill, 'l' launch, 'e' event, 'x' wait for op b; 0: done
  u64 a, b, n, stream, id;
} op;

typedef struct {
  op* ops;
  int count, room;
} list;

static list queue;  // of all streams, as they were asked
static u64 last_op, overlaps;

// What ops do to memory that the host does not know to be done.
static struct {
  u64 from, to, id;
  int stream, writes;
}* touches;
static int touch_count, touch_room;
static moment host;  // what it has waited for

static void learn(moment* m, const moment* more) {
  for (int i = 0; i < STREAMS; i++)
    if (m->of[i] < more->of[i]) m->of[i] = more->of[i];
}

// touch requires that what another stream does to the same memory is done before.
static void touch(const thing* stream, u64 id, u64 at, u64 n, int writes) {
  int kept = 0;
  for (int i = 0; i < touch_count; i++) {
    if (touches[i].id <= host.of[touches[i].stream]) continue;
    touches[kept] = touches[i];
    if (touches[kept].from < at + n && at < touches[kept].to && (writes || touches[kept].writes) && stream->knows.of[touches[kept].stream] < touches[kept].id)
      rule("two streams %s the same memory, and neither waits for the other", writes && touches[kept].writes ? "write" : "read and write");
    kept++;
  }
  touch_count = kept;
  if (touch_count == touch_room) touches = realloc(touches, (touch_room = 2 * touch_room + 64) * sizeof *touches);
  touches[touch_count].from = at;
  touches[touch_count].to = at + n;
  touches[touch_count].id = id;
  touches[touch_count].stream = stream->index;
  touches[touch_count++].writes = writes;
}

// overlapping tells whether another stream has a kernel to run that need not be done
// before a stream's next op.
static int overlapping(const thing* stream) {
  for (int i = 0; i < queue.count; i++)
    if (queue.ops[i].what == 'l' && queue.ops[i].stream != stream->handle && stream->knows.of[get(STREAM, queue.ops[i].stream)->index] < queue.ops[i].id) return 1;
  return 0;
}

// What a stream captures instead of doing it.
static struct {
  u64 stream;  // 0: none
  int invalid;
  pthread_t thread;
  list ops;
} capture;

static u64 last_hash;

static void append(list* l, op o) {
  if (l->count == l->room) l->ops = realloc(l->ops, (l->room = 2 * l->room + 64) * sizeof *l->ops);
  l->ops[l->count++] = o;
}

// push enqueues an op and returns its number, or 0 where it is captured.
static u64 push(int what, u64 a, u64 b, u64 n, u64 stream) {
  thing* s = get(STREAM, stream);
  if (!s) return 0;
  if (capture.stream == stream) {
    append(&capture.ops, (op){what, a, b, n, stream, 0});
    return 0;
  }
  u64 id = ++last_op;
  learn(&s->knows, &host);
  if (what == 'w' || what == 'd' || what == 'r') {
    touch(s, id, b, n, 0);
    touch(s, id, a, n, 1);
  }
  if (what == 'f') touch(s, id, a, n, 1);
  if (what == 'w' && overlapping(s)) overlaps++;
  if (what == 'l') launches++, last_hash = b;
  s->knows.of[s->index] = id;
  append(&queue, (op){what, a, b, n, stream, id});
  return id;
}

// forbidden tells whether the thread is capturing, when it must not wait, nor take or
// give back memory and code: that ends the capture without a graph.
static int forbidden(void) {
  if (!capture.stream || !pthread_equal(capture.thread, pthread_self())) return 0;
  capture.invalid = 1;
  return 1;
}

#define ENTER_UNCAPTURED() \
  ENTER(1);                \
  if (forbidden()) return leave(CAPTURE_UNSUPPORTED)

static void reach(u64 stream, u64 id);

// perform does an op, unless it is done.
static void perform(op* o) {
  const op now = *o;
  if (!now.what) return;
  o->what = 0;
  if (now.what == 'x') {
    for (int i = 0; i < queue.count; i++)
      if (queue.ops[i].id == now.b) reach(queue.ops[i].stream, now.b);
    return;
  }
  clock_now++;
  switch (now.what) {
    case 'w':
      if (!inside(BUFFER, now.a, now.n) || !inside(PINNED, now.b, now.n)) rule("a copy to the device whose memory is gone");
      else memcpy((void*)now.a, (void*)now.b, now.n);
      break;
    case 'r':
      if (!inside(BUFFER, now.b, now.n) || !inside(PINNED, now.a, now.n)) rule("a copy to the host whose memory is gone");
      else memcpy((void*)now.a, (void*)now.b, now.n);
      break;
    case 'd':
      if (!inside(BUFFER, now.a, now.n) || !inside(BUFFER, now.b, now.n)) rule("a copy within the device whose memory is gone");
      else memmove((void*)now.a, (void*)now.b, now.n);
      break;
    case 'f':
      if (!inside(BUFFER, now.a, now.n)) rule("a fill of memory that is gone");
      else memset((void*)now.a, (int)now.b, now.n);
      break;
    case 'l':
      get(FUNCTION, now.a);
      if (*setting("late")) sticky = (int)*setting("late");
      break;
    case 'e': {
      thing* e = get(EVENT, now.a);
      if (e) e->at = clock_now;
    }
  }
}

// reach does what a stream was asked for up to an op, and what it waits for.
static void reach(u64 stream, u64 id) {
  for (int i = 0; i < queue.count; i++)
    if (queue.ops[i].stream == stream && queue.ops[i].id <= id) perform(&queue.ops[i]);
}

// forget drops what is done.
static int forget(void) {
  int kept = 0;
  for (int i = 0; i < queue.count; i++)
    if (queue.ops[i].what) queue.ops[kept++] = queue.ops[i];
  queue.count = kept;
  return sticky;
}

// flush does all that the streams were asked for.
static int flush(void) {
  for (int i = 0; i < queue.count; i++) perform(&queue.ops[i]);
  for (int i = 0; i < count; i++)
    if (things[i].kind == STREAM) learn(&host, &things[i].knows);
  return forget();
}

static void pending(enum kind kind, u64 handle, u64 n) {
  for (int i = 0; i < queue.count; i++) {
    op* o = &queue.ops[i];
    if ((kind == EVENT && o->what == 'e' && o->a == handle) || (kind == STREAM && o->stream == handle) ||
        (kind == PINNED && ((o->what == 'w' && o->b >= handle && o->b < handle + n) || (o->what == 'r' && o->a >= handle && o->a < handle + n))) ||
        (kind == MODULE && o->what == 'l' && get(FUNCTION, o->a)->of == handle)) {
      rule("%s given back while the stream uses it", kinds[kind]);
      return;
    }
  }
}

// discard forgets all that there is.
static void discard(void) {
  for (int i = 0; i < count; i++) {
    if (things[i].kind == BUFFER || things[i].kind == PINNED) free((void*)things[i].handle);
    if (things[i].kind == MODULE || things[i].kind == GRAPH || things[i].kind == EXEC) free(things[i].image);
  }
  count = queue.count = capture.ops.count = touch_count = 0;
  capture.stream = capture.invalid = 0;
}

// ---- libcuda

int cuInit(u32 flags) {
  ENTER(0);
  if (flags) rule("cuInit(%u)", flags);
  if (*setting("count") == 0) return leave(NO_DEVICE);
  initialised = 1;
  return leave(0);
}

int cuDriverGetVersion(int* v) {
  ENTER(0);
  *v = (int)*setting("version");
  return leave(0);
}

int cuGetErrorName(int code, const char** text) {
  *text = code == 1 ? "CUDA_ERROR_INVALID_VALUE" : code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : code == 100 ? "CUDA_ERROR_NO_DEVICE" : code == 222 ? "CUDA_ERROR_UNSUPPORTED_PTX_VERSION" : code == 200 ? "CUDA_ERROR_INVALID_IMAGE" : code == 500 ? "CUDA_ERROR_NOT_FOUND" : code == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : code == 801 ? "CUDA_ERROR_NOT_SUPPORTED" : code == 900 ? "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED" : code == 901 ? "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED" : code == 905 ? "CUDA_ERROR_STREAM_CAPTURE_ISOLATION" : 0;
  return *text ? 0 : INVALID_VALUE;
}

int cuGetErrorString(int code, const char** text) {
  *text = code == 2 ? "out of memory" : code == 700 ? "an illegal memory access was encountered" : code == 100 ? "no CUDA-capable device is detected" : 0;
  return *text ? 0 : INVALID_VALUE;
}

int cuDeviceGetCount(int* n) {
  ENTER(0);
  *n = (int)*setting("count");
  if (*n < 0) *n = 0;
  return leave(0);
}

int cuDeviceGet(int* d, int i) {
  ENTER(0);
  if (i < 0 || i >= *setting("count")) return leave(INVALID_DEVICE);
  *d = i;
  return leave(0);
}

int cuDeviceGetName(char* name, int n, int d) {
  ENTER(0);
  snprintf(name, n, "Fake GPU %d", d);
  return leave(0);
}

int cuDeviceGetAttribute(int* v, int a, int d) {
  ENTER(0);
  (void)d;
  switch (a) {
    case 75: *v = (int)*setting("major"); break;
    case 76: *v = (int)*setting("minor"); break;
    case 16: *v = 132; break;
    case 97: *v = (int)*setting("shared"); break;
    default: rule("attribute %d", a); return leave(INVALID_VALUE);
  }
  return leave(0);
}

int cuDeviceTotalMem_v2(size_t* n, int d) {
  ENTER(0);
  (void)d;
  *n = *setting("memory");
  return leave(0);
}

int cuDevicePrimaryCtxRetain(u64* c, int d) {
  ENTER(0);
  *c = add(CONTEXT, 0xc0 + d)->handle;
  return leave(0);
}

int cuDevicePrimaryCtxRelease_v2(int d) {
  ENTER(0);
  thing* t = get(CONTEXT, 0xc0 + d);
  if (!t) return leave(INVALID_CONTEXT);
  drop(t);
  for (int i = 0; i < count; i++)
    if (things[i].kind == CONTEXT && things[i].handle == (u64)0xc0 + d) return leave(0);  // another still has it
  // What could not be given back goes with the context.
  const int forgiven = sticky || strstr(failure.fired, "Free") || strstr(failure.fired, "Destroy") || strstr(failure.fired, "Unload") || strstr(failure.fired, "SetCurrent");
  for (int i = 0; i < count; i++)
    if (things[i].kind != CONTEXT && !forgiven) rule("%s outlives the context", kinds[things[i].kind]);
  discard();
  return leave(0);
}

int cuCtxSetCurrent(u64 c) {
  ENTER(0);
  if (c && !get(CONTEXT, c)) return leave(INVALID_CONTEXT);
  current = c;
  return leave(0);
}

int cuStreamCreate(u64* s, u32 flags) {
  ENTER(1);
  if (flags != 1) rule("a stream with flags %u", flags);
  int used[STREAMS] = {0}, index = 0;
  for (int i = 0; i < count; i++)
    if (things[i].kind == STREAM) used[things[i].index] = 1;
  while (index < STREAMS && used[index]) index++;
  if (index == STREAMS) abort();
  thing* t = add(STREAM, 0);
  t->index = index;
  *s = t->handle;
  return leave(0);
}

int cuStreamDestroy_v2(u64 s) {
  ENTER_UNCAPTURED();
  thing* t = get(STREAM, s);
  if (!t) return leave(INVALID_HANDLE);
  pending(STREAM, s, 0);
  learn(&host, &t->knows);
  drop(t);
  return leave(0);
}

int cuStreamSynchronize(u64 s) {
  ENTER_UNCAPTURED();
  thing* t = get(STREAM, s);
  if (!t) return leave(INVALID_HANDLE);
  reach(s, last_op);
  learn(&host, &t->knows);
  return leave(forget());
}

int cuStreamWaitEvent(u64 s, u64 e, u32 flags) {
  ENTER(1);
  thing *t = get(STREAM, s), *f = get(EVENT, e);
  if (!t || !f) return leave(INVALID_HANDLE);
  if (flags) rule("waiting with flags %u", flags);
  if (!f->recorded) rule("waiting for an event that was never recorded");
  if (capture.stream == s) {
    capture.invalid = 1;
    return leave(CAPTURE_ISOLATION);
  }
  push('x', e, f->recorded, 0, s);
  learn(&t->knows, &f->knows);
  return leave(0);
}

int cuEventCreate(u64* e, u32 flags) {
  ENTER(1);
  thing* t = add(EVENT, 0);
  t->timing = !(flags & 2);
  *e = t->handle;
  return leave(0);
}

int cuEventDestroy_v2(u64 e) {
  ENTER(1);
  thing* t = get(EVENT, e);
  if (!t) return leave(INVALID_HANDLE);
  flush();  // an event may go before its moment; here it does not
  drop(get(EVENT, e));
  return leave(0);
}

int cuEventRecord(u64 e, u64 s) {
  ENTER(1);
  thing* t = get(EVENT, e);
  if (!t) return leave(INVALID_HANDLE);
  u64 id = push('e', e, 0, 0, s);
  thing* stream = get(STREAM, s);
  if (!stream) return leave(INVALID_HANDLE);
  if (id) {
    t->recorded = id;
    t->of = s;
    t->knows = stream->knows;
  }
  return leave(0);
}

int cuEventSynchronize(u64 e) {
  ENTER_UNCAPTURED();
  thing* t = get(EVENT, e);
  if (!t) return leave(INVALID_HANDLE);
  if (!t->recorded) rule("waiting for an event that was never recorded");
  reach(t->of, t->recorded);
  learn(&host, &t->knows);
  return leave(forget());
}

int cuEventElapsedTime(float* ms, u64 a, u64 b) {
  ENTER(1);
  thing *x = get(EVENT, a), *y = get(EVENT, b);
  if (!x || !y || !x->timing || !y->timing || !x->recorded || !y->recorded) return leave(INVALID_HANDLE);
  for (int i = 0; i < queue.count; i++)
    if (queue.ops[i].what == 'e' && (queue.ops[i].a == a || queue.ops[i].a == b)) return leave(NOT_READY);
  *ms = 0.5f * (float)((int64_t)y->at - (int64_t)x->at);
  return leave(0);
}

static u64 used(void) {
  u64 n = *setting("taken");
  for (int i = 0; i < count; i++)
    if (things[i].kind == BUFFER) n += things[i].bytes;
  return n;
}

int cuMemGetInfo_v2(size_t* f, size_t* t) {
  ENTER(1);
  *t = *setting("memory");
  *f = *t - used();
  return leave(0);
}

int cuMemAlloc_v2(u64* p, size_t n) {
  ENTER_UNCAPTURED();
  if (!n) return leave(INVALID_VALUE);
  if (n > (u64)*setting("memory") - used()) return leave(OUT_OF_MEMORY);
  void* m = 0;
  if (posix_memalign(&m, 512, n)) return leave(OUT_OF_MEMORY);
  memset(m, 0xa5, n < 1 << 20 ? n : 1 << 20);
  add(BUFFER, (u64)m)->bytes = n;
  *p = (u64)m;
  return leave(0);
}

int cuMemFree_v2(u64 p) {
  ENTER_UNCAPTURED();
  thing* t = get(BUFFER, p);
  if (!t) return leave(INVALID_VALUE);
  flush();
  drop(get(BUFFER, p));
  free((void*)p);
  return leave(sticky);
}

int cuMemHostAlloc(u64* p, size_t n, u32 flags) {
  ENTER_UNCAPTURED();
  if (flags) rule("pinned memory with flags %u", flags);
  void* m = 0;
  if (posix_memalign(&m, 4096, n)) return leave(OUT_OF_MEMORY);
  add(PINNED, (u64)m)->bytes = n;
  *p = (u64)m;
  return leave(0);
}

int cuMemFreeHost(u64 p) {
  ENTER_UNCAPTURED();
  thing* t = get(PINNED, p);
  if (!t) return leave(INVALID_VALUE);
  pending(PINNED, p, t->bytes);
  drop(get(PINNED, p));
  free((void*)p);
  return leave(0);
}

int cuMemcpyHtoDAsync_v2(u64 d, u64 h, size_t n, u64 s) {
  ENTER(1);
  if (!inside(BUFFER, d, n)) { rule("a copy to memory that is no buffer's"); return leave(INVALID_VALUE); }
  if (!inside(PINNED, h, n) && forbidden()) return leave(CAPTURE_UNSUPPORTED);
  if (!inside(PINNED, h, n)) rule("a copy from memory that is not pinned");
  push('w', d, h, n, s);
  return leave(0);
}

int cuMemcpyDtoHAsync_v2(u64 h, u64 d, size_t n, u64 s) {
  ENTER(1);
  if (!inside(BUFFER, d, n)) { rule("a copy from memory that is no buffer's"); return leave(INVALID_VALUE); }
  if (!inside(PINNED, h, n) && forbidden()) return leave(CAPTURE_UNSUPPORTED);
  if (!inside(PINNED, h, n)) rule("a copy to memory that is not pinned");
  push('r', h, d, n, s);
  return leave(0);
}

int cuMemcpyDtoDAsync_v2(u64 d, u64 from, size_t n, u64 s) {
  ENTER(1);
  if (!inside(BUFFER, d, n) || !inside(BUFFER, from, n)) { rule("a copy within the device of memory that is no buffer's"); return leave(INVALID_VALUE); }
  push('d', d, from, n, s);
  return leave(0);
}

int cuMemsetD8Async(u64 p, u32 v, size_t n, u64 s) {
  ENTER(1);
  if (!inside(BUFFER, p, n) || v > 255) { rule("a fill of memory that is no buffer's"); return leave(INVALID_VALUE); }
  push('f', p, v, n, s);
  return leave(0);
}

// An image is a cubin, of which only the size is read, or text with .entry NAME( and
// perhaps params=N, the bytes of its arguments.
int cuModuleLoadDataEx(u64* m, const char* image, u32 n, const int* options, void** values) {
  ENTER_UNCAPTURED();
  if ((u64)image % 8) rule("an image that is not aligned");
  size_t size = 0;
  if (!memcmp(image, "\x7f" "ELF", 4)) size = *(u64*)(image + 40) + (u64)*(uint16_t*)(image + 58) * *(uint16_t*)(image + 60);
  else if (memmem(image, strlen(image), ".entry ", 7)) size = strlen(image);
  char* log = 0;
  size_t room_ = 0;
  for (u32 i = 0; i < n; i++) {
    if (options[i] == 5) log = values[i];
    else if (options[i] == 6) room_ = (size_t)values[i];
    else rule("option %d of a module", options[i]);
  }
  if (!size) {
    if (log) snprintf(log, room_, "ptxas: line 1; fatal: no entry in \"%.20s\"", image);
    return leave(INVALID_IMAGE);
  }
  thing* t = add(MODULE, 0);
  t->image = malloc(size);
  memcpy(t->image, image, size);
  t->bytes = size;
  *m = t->handle;
  return leave(0);
}

int cuModuleUnload(u64 m) {
  ENTER_UNCAPTURED();
  thing* t = get(MODULE, m);
  if (!t) return leave(INVALID_HANDLE);
  pending(MODULE, m, 0);
  free(t->image);
  drop(t);
  for (int i = 0; i < count;)
    if (things[i].kind == FUNCTION && things[i].of == m) drop(&things[i]);
    else i++;
  return leave(0);
}

int cuModuleGetFunction(u64* f, u64 m, const char* name) {
  ENTER(1);
  thing* t = get(MODULE, m);
  if (!t) return leave(INVALID_HANDLE);
  if (!memmem(t->image, t->bytes, name, strlen(name))) return leave(NOT_FOUND);
  const char* params = memmem(t->image, t->bytes, "params=", 7);
  thing* g = add(FUNCTION, 0);
  g->of = m;
  g->params = params ? atoll(params + 7) : -1;
  g->shared = 48 << 10;
  *f = g->handle;
  return leave(0);
}

int cuFuncSetAttribute(u64 f, int a, int v) {
  ENTER(1);
  thing* t = get(FUNCTION, f);
  if (!t) return leave(INVALID_HANDLE);
  if (a != 8) rule("attribute %d of a function", a);
  if (v > *setting("shared")) return leave(INVALID_VALUE);
  t->shared = v;
  return leave(0);
}

int cuLaunchKernel(u64 f, u32 gx, u32 gy, u32 gz, u32 bx, u32 by, u32 bz, u32 shared, u64 s, void** params, u64* extra) {
  ENTER(1);
  thing* t = get(FUNCTION, f);
  if (!t) return leave(INVALID_HANDLE);
  if (!gx || gy != 1 || gz != 1 || !bx || bx > 1024 || by != 1 || bz != 1) { rule("a launch of %u,%u,%u blocks of %u,%u,%u", gx, gy, gz, bx, by, bz); return leave(INVALID_VALUE); }
  if (shared > t->shared) return leave(INVALID_VALUE);
  if (params || !extra || extra[0] != 1 || extra[2] != 2 || extra[4] != 0) { rule("a launch whose arguments are not bytes"); return leave(INVALID_VALUE); }
  u64 bytes = *(u64*)extra[3];
  if (extra[1] % 8) rule("arguments that are not aligned");
  if (t->params >= 0 && bytes != (u64)t->params) { rule("%llu bytes of arguments, expected %lld", (unsigned long long)bytes, (long long)t->params); return leave(INVALID_VALUE); }
  u64 hash = 14695981039346656037u;
  for (u64 i = 0; i < bytes; i++) hash = (hash ^ ((unsigned char*)extra[1])[i]) * 1099511628211u;
  push('l', f, hash, 0, s);
  return leave(0);
}

int cuStreamBeginCapture_v2(u64 s, int mode) {
  ENTER(1);
  if (!get(STREAM, s)) return leave(INVALID_HANDLE);
  if (mode != 1) rule("a capture of mode %d", mode);
  if (capture.stream) return leave(ILLEGAL_STATE);
  capture.stream = s;
  capture.invalid = 0;
  capture.thread = pthread_self();
  capture.ops.count = 0;
  return leave(0);
}

// graph makes a graph of ops.
static u64 graph(enum kind kind, const op* ops, int n) {
  thing* t = add(kind, 0);
  t->bytes = n * sizeof *ops;
  t->image = malloc(t->bytes + 1);
  if (n) memcpy(t->image, ops, t->bytes);
  return t->handle;
}

int cuStreamEndCapture(u64 s, u64* g) {
  *g = 0xbad;  // which nobody may use where it fails
  const int captures = capture.stream == s && s;
  if (captures) capture.stream = 0;  // whatever else it has to say
  ENTER(1);
  if (!captures) return leave(ILLEGAL_STATE);
  if (!pthread_equal(capture.thread, pthread_self())) rule("a capture ends on another thread");
  if (capture.invalid) return leave(CAPTURE_INVALIDATED);
  *g = graph(GRAPH, capture.ops.ops, capture.ops.count);
  return leave(0);
}

int cuGraphInstantiateWithFlags(u64* e, u64 g, u64 flags) {
  ENTER(1);
  thing* t = get(GRAPH, g);
  if (!t) return leave(INVALID_VALUE);
  if (flags) rule("a graph with flags %llu", (unsigned long long)flags);
  *e = graph(EXEC, (op*)t->image, t->bytes / sizeof(op));
  return leave(0);
}

static int destroy(enum kind kind, u64 g) {
  thing* t = get(kind, g);
  if (!t) return INVALID_VALUE;
  free(t->image);
  drop(t);
  return 0;
}

int cuGraphDestroy(u64 g) {
  ENTER(1);
  return leave(destroy(GRAPH, g));
}

int cuGraphExecDestroy(u64 e) {
  ENTER(1);
  return leave(destroy(EXEC, e));
}

int cuGraphLaunch(u64 e, u64 s) {
  ENTER(1);
  thing* t = get(EXEC, e);
  if (!t || !get(STREAM, s)) return leave(INVALID_VALUE);
  for (u64 i = 0; i < t->bytes / sizeof(op); i++) {
    op o = ((op*)t->image)[i];
    push(o.what, o.a, o.b, o.n, s);
  }
  return leave(0);
}

// ---- for the test

void fake_set(const char* name, int64_t value) { *setting(name) = value; }

// fake_fail makes the nth call of a function, or of any where it is empty, return a code.
void fake_fail(const char* function, int nth, int code) {
  snprintf(failure.function, sizeof failure.function, "%s", function);
  failure.nth = nth;
  failure.code = code;
}

// fake_fired is the function that failed, or empty.
const char* fake_fired(void) { return failure.fired; }

// fake_left is what is not given back, a line each, and then the rules that were broken.
const char* fake_left(void) {
  static char text[1 << 14];
  *text = 0;
  for (int i = 0; i < count; i++) {
    size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, "a %s is left\n", kinds[things[i].kind]);
  }
  strncat(text, broken, sizeof text - strlen(text) - 1);
  return text;
}

// fake_trace is what was called since fake_reset.
const char* fake_trace(void) { return trace; }
u64 fake_launches(void) { return launches; }
u64 fake_arguments(void) { return last_hash; }

// fake_overlaps is how many copies to the device could run beside a kernel that another
// stream had yet to run.
u64 fake_overlaps(void) { return overlaps; }

// fake_reset makes this the library as it was loaded, on this thread.
void fake_reset(int with_trace) {
  static const int64_t fresh[] = {13000, 1, 9, 0, 1ll << 34, 0, 232448, 0};
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) settings[i].value = fresh[i];
  discard();
  sticky = initialised = 0;
  clock_now = launches = overlaps = 0;
  *broken = *trace = 0;
  memset(&failure, 0, sizeof failure);
  tracing = with_trace;
  current = 0;
}
