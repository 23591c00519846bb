/* SPDX-License-Identifier: Apache-2.0 */
/* Between the fault and the end only what is safe in a signal handler is called (signal-safety(7)),
 * beside backtrace(), whose library is loaded beforehand, and _dl_find_object(), which is made for
 * it. Should that hang or fault all the same, the alarm or the second fault ends the process. */
#include "base/crash.h"

#include "base/build_id.h"
#include "base/macros.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { STACK = 64 << 10, SECONDS = 5, NAME_MAX_SHOWN = 64 };

static char program_name[DV_CRASH_PROGRAM];
static char build[DV_BUILD_ID_TEXT];

/* ---- The line ---- */

typedef struct line {
    char text[DV_CRASH_LINE];
    size_t len;
} line;

/* The last byte is left for the newline. */
static void put(line *out, const char *text, size_t max)
{
    for (size_t i = 0; i < max && text[i] != '\0' && out->len + 1 < sizeof out->text; i++) {
        bool plain = text[i] > ' ' && text[i] <= '~';
        out->text[out->len++] = (char)(plain || text[i] == ' ' ? text[i] : '?');
    }
}

static void put_number(line *out, unsigned long number, unsigned base)
{
    char digits[24];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0);
    put(out, digits + at, sizeof digits);
}

static void put_frame(line *out, void *address)
{
    struct dl_find_object object;
    put(out, " ", 1);
    if (_dl_find_object(address, &object) != 0 || object.dlfo_link_map == NULL) {
        put(out, "?+0x0", SIZE_MAX);
        return;
    }
    const char *path = object.dlfo_link_map->l_name;
    const char *slash = path == NULL ? NULL : strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    bool own = name == NULL || *name == '\0';
    put(out, own ? program_name : name, NAME_MAX_SHOWN);
    put(out, "+0x", 3);
    put_number(out, (unsigned long)((uintptr_t)address - object.dlfo_link_map->l_addr), 16);
}

static void on_fault(int number)
{
    static line out; /* one fault is told: the second ends the process */
    void *frames[DV_CRASH_FRAMES];
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    signal(SIGALRM, SIG_DFL);
    (void)sigprocmask(SIG_UNBLOCK, &alarms, NULL);
    alarm(SECONDS);
    put(&out, DV_CRASH_MARK, SIZE_MAX);
    put(&out, program_name, sizeof program_name);
    put(&out, " ", 1);
    put_number(&out, (unsigned long)getpid(), 10);
    put(&out, " ", 1);
    put_number(&out, (unsigned long)number, 10);
    put(&out, " ", 1);
    put(&out, build[0] != '\0' ? build : "-", sizeof build);
    int count = backtrace(frames, DV_CRASH_FRAMES);
    for (int i = 1; i < count; i++) { /* the first one is here */
        put_frame(&out, frames[i]);
    }
    out.text[out.len++] = '\n';
    if (write(STDERR_FILENO, out.text, out.len) < 0) {
        _exit(128 + number); /* nowhere to say it; still the end */
    }
    raise(number); /* SA_RESETHAND: it now does what it would have done */
}

/* ---- Before ---- */

/* A stack that has run over is a fault, too. */
static void use_own_stack(void)
{
    static uint8_t bytes[STACK];
    const stack_t stack = {.ss_sp = bytes, .ss_size = sizeof bytes};
    (void)sigaltstack(&stack, NULL);
}

void dv_crash_watch(const char *program)
{
#ifndef DV_SANITIZED
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    struct sigaction action = {.sa_handler = on_fault,
                               .sa_flags = (int)(SA_ONSTACK | SA_RESETHAND | SA_NODEFER)};
    void *warm[2];
    const char *slash = strrchr(program, '/');
    const char *name = slash != NULL ? slash + 1 : program;
    size_t len = strnlen(name, sizeof program_name - 1);
    memcpy(program_name, name, len);
    program_name[len] = '\0';
    dv_build_id(build);
    (void)backtrace(warm, 2); /* loads what it needs */
    use_own_stack();
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < DV_ARRAY_LEN(faults); i++) {
        (void)sigaction(faults[i], &action, NULL);
    }
#else
    (void)program;
    (void)on_fault;
    (void)use_own_stack;
#endif
}
