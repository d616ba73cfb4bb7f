// An NVRTC that compiles nothing: of a text it keeps the name of its entry, as what
// libcuda/testdata/libcuda.c takes for a kernel. $FAKE_NVRTC is the name of an entry,
// or a part of it, that it rejects.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  char entry[256], code[512], log[512];
} program;

enum { SUCCESS = 0, INVALID_INPUT = 3, COMPILATION = 6 };

int nvrtcVersion(int* major, int* minor) {
  *major = 13, *minor = 0;
  return SUCCESS;
}

static const int archs[] = {80, 90, 120};

int nvrtcGetNumSupportedArchs(int* n) {
  *n = sizeof archs / sizeof *archs;
  return SUCCESS;
}

int nvrtcGetSupportedArchs(int* a) {
  memcpy(a, archs, sizeof archs);
  return SUCCESS;
}

int nvrtcCreateProgram(program** p, const char* text, const char* name, int headers, const char** texts, const char** names) {
  (void)name, (void)headers, (void)texts, (void)names;
  *p = calloc(1, sizeof **p);
  const char* entry = strstr(text, "WRNC_KERNEL(");
  return entry && sscanf(entry, "WRNC_KERNEL(%250[^,]", (*p)->entry) == 1 ? SUCCESS : INVALID_INPUT;
}

int nvrtcCompileProgram(program* p, int n, const char** options) {
  (void)n;
  const char* rejected = getenv("FAKE_NVRTC");
  if (rejected && *rejected && strstr(p->entry, rejected)) {
    snprintf(p->log, sizeof p->log, "%s.cu(7): error: it is rejected", p->entry);
    return COMPILATION;
  }
  snprintf(p->code, sizeof p->code, "// %s\n.entry %s(", options[0], p->entry);
  return SUCCESS;
}

int nvrtcDestroyProgram(program** p) {
  free(*p);
  *p = 0;
  return SUCCESS;
}

static int text_size(const char* text, size_t* n) {
  *n = strlen(text) + 1;
  return SUCCESS;
}

static int copy_text(const char* text, char* to) {
  strcpy(to, text);
  return SUCCESS;
}

int nvrtcGetProgramLogSize(program* p, size_t* n) { return text_size(p->log, n); }
int nvrtcGetProgramLog(program* p, char* to) { return copy_text(p->log, to); }
int nvrtcGetPTXSize(program* p, size_t* n) { return text_size(p->code, n); }
int nvrtcGetPTX(program* p, char* to) { return copy_text(p->code, to); }
int nvrtcGetCUBINSize(program* p, size_t* n) { return text_size(p->code, n); }
int nvrtcGetCUBIN(program* p, char* to) { return copy_text(p->code, to); }
const char* nvrtcGetErrorString(int code) { return code == COMPILATION ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR_INVALID_INPUT"; }
