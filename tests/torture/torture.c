/* SPDX-License-Identifier: Apache-2.0 */
/* Loaded before a program (LD_PRELOAD): makes the N-th call of our own code into the C library, the
 * kernel or nginx's pools fail. Calls of our code are those that go through the global offset table
 * of our objects, whose entries are pointed here; nobody else's calls are touched.
 *
 * It also keeps the list of what our code allocated and nobody freed, so that a test sees a leak.
 */
#include "torture.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define SITE ((uintptr_t)__builtin_return_address(0))

extern void __libc_free(void *memory);

static torture_slot *slot; /* NULL: no control file, nothing fails */
static char folder[PATH_MAX];

static struct object {
    uintptr_t begin, end;
} objects[4];
static size_t object_count;

/* -- what is alive ----------------------------------------------------------------------------- */

enum { LIVE_SLOTS = 1 << 18 };
static struct live {
    uintptr_t memory; /* 0: never used, 1: was removed */
    uintptr_t site;
} live[LIVE_SLOTS];
static atomic_flag live_lock = ATOMIC_FLAG_INIT;
static uint64_t live_count;

static size_t live_place(uintptr_t memory)
{
    return (size_t)((memory >> 4) * 0x9e3779b97f4a7c15u >> 40) % LIVE_SLOTS;
}

static void lock(void)
{
    while (atomic_flag_test_and_set(&live_lock)) {
    }
}

static void tell_live(void)
{
    if (slot != NULL && slot->pid == (uint32_t)getpid()) {
        slot->live = live_count;
    }
}

static void live_add(void *memory, uintptr_t site)
{
    if (memory == NULL) {
        return;
    }
    lock();
    size_t at = live_place((uintptr_t)memory);
    for (size_t i = 0; i < 256; i++, at = (at + 1) % LIVE_SLOTS) {
        if (live[at].memory <= 1) {
            live[at] = (struct live){(uintptr_t)memory, site};
            live_count++;
            break;
        }
    }
    tell_live();
    atomic_flag_clear(&live_lock);
}

static void live_remove(const void *memory)
{
    lock();
    size_t at = live_place((uintptr_t)memory);
    for (size_t i = 0; i < 256 && live[at].memory != 0; i++, at = (at + 1) % LIVE_SLOTS) {
        if (live[at].memory == (uintptr_t)memory) {
            live[at].memory = 1;
            live_count--;
            tell_live();
            break;
        }
    }
    atomic_flag_clear(&live_lock);
}

static uintptr_t offset_of(uintptr_t site)
{
    for (size_t i = 0; i < object_count; i++) {
        if (site >= objects[i].begin && site < objects[i].end) {
            return site - objects[i].begin;
        }
    }
    return 0;
}

/* One line for each allocation that is alive: where it was made. */
static void dump_live(void)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/live-%d", folder, (int)getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    for (size_t i = 0; fd >= 0 && i < LIVE_SLOTS; i++) {
        if (live[i].memory > 1) {
            dprintf(fd, "%lx\n", (unsigned long)offset_of(live[i].site));
        }
    }
    close(fd);
}

EXPORT void free(void *memory)
{
    if (memory != NULL && live_count > 0) {
        live_remove(memory);
    }
    __libc_free(memory);
}

/* -- what fails -------------------------------------------------------------------------------- */

static bool counts(uint32_t kind)
{
    return slot != NULL && slot->mode != TORTURE_OFF && (slot->kinds & kind) != 0 &&
           (slot->pid == 0 || slot->pid == (uint32_t)getpid());
}

static bool hit(uint32_t kind, const char *function, uintptr_t site)
{
    if (!counts(kind)) {
        return false;
    }
    uint32_t one = 1;
    if (atomic_compare_exchange_strong(&slot->dump, &one, 0)) {
        dump_live();
    }
    uint64_t number = atomic_fetch_add(&slot->calls, 1) + 1;
    bool fails = slot->mode == TORTURE_FROM ? number >= slot->fail_at : number == slot->fail_at;
    if (fails) {
        slot->site = offset_of(site);
        snprintf(slot->function, sizeof slot->function, "%s", function);
        slot->fired++;
    }
    return fails;
}

/* The real functions, as the table named them before it was changed. */
#define REAL(name) real_##name

/* A function that gives NULL, or -1 with errno, or an error code. */
#define WRAP(type, name, kind, fault, failure, params, args)                                       \
    static type(*REAL(name)) params;                                                               \
    static type wrap_##name params                                                                 \
    {                                                                                              \
        if (hit(kind, #name, SITE)) {                                                              \
            errno = fault;                                                                         \
            return failure;                                                                        \
        }                                                                                          \
        return REAL(name) args;                                                                    \
    }
#define POINTER(name, kind, params, args) WRAP(void *, name, kind, ENOMEM, NULL, params, args)
#define STATUS(name, kind, fault, params, args) WRAP(int, name, kind, fault, -1, params, args)

#define TRACKED(name, params, args)                                                                \
    static void *(*REAL(name))params;                                                              \
    static void *wrap_##name params                                                                \
    {                                                                                              \
        if (hit(TORTURE_MEMORY, #name, SITE)) {                                                    \
            errno = ENOMEM;                                                                        \
            return NULL;                                                                           \
        }                                                                                          \
        void *memory = REAL(name) args;                                                            \
        live_add(memory, SITE);                                                                    \
        return memory;                                                                             \
    }

TRACKED(malloc, (size_t size), (size))
TRACKED(calloc, (size_t count, size_t size), (count, size))
TRACKED(strdup, (const char *text), (text))

static void *(*REAL(realloc))(void *memory, size_t size);
static void *wrap_realloc(void *memory, size_t size)
{
    if (hit(TORTURE_MEMORY, "realloc", SITE)) {
        errno = ENOMEM;
        return NULL;
    }
    uintptr_t before = (uintptr_t)memory;
    void *moved = REAL(realloc)(memory, size);
    if (moved != NULL) {
        live_remove((const void *)before);
        live_add(moved, SITE);
    }
    return moved;
}

POINTER(ngx_palloc, TORTURE_MEMORY, (void *pool, size_t size), (pool, size))
POINTER(ngx_pcalloc, TORTURE_MEMORY, (void *pool, size_t size), (pool, size))
POINTER(ngx_pnalloc, TORTURE_MEMORY, (void *pool, size_t size), (pool, size))
POINTER(ngx_alloc_chain_link, TORTURE_MEMORY, (void *pool), (pool))
POINTER(ngx_chain_get_free_buf, TORTURE_MEMORY, (void *pool, void *chain), (pool, chain))
POINTER(ngx_create_temp_buf, TORTURE_MEMORY, (void *pool, size_t size), (pool, size))
POINTER(ngx_list_push, TORTURE_MEMORY, (void *list), (list))
POINTER(ngx_array_push, TORTURE_MEMORY, (void *array), (array))
POINTER(ngx_array_create, TORTURE_MEMORY, (void *pool, uintptr_t n, size_t size), (pool, n, size))
POINTER(ngx_pool_cleanup_add, TORTURE_MEMORY, (void *pool, size_t size), (pool, size))
POINTER(EVP_CIPHER_CTX_new, TORTURE_MEMORY, (void), ())
POINTER(EVP_MD_CTX_new, TORTURE_MEMORY, (void), ())
POINTER(json_object, TORTURE_MEMORY, (void), ())
POINTER(json_array, TORTURE_MEMORY, (void), ())
POINTER(json_string, TORTURE_MEMORY, (const char *text), (text))
POINTER(json_stringn, TORTURE_MEMORY, (const char *text, size_t len), (text, len))
POINTER(json_integer, TORTURE_MEMORY, (long long value), (value))
POINTER(json_dumps, TORTURE_MEMORY, (const void *json, size_t flags), (json, flags))
POINTER(MHD_create_response_from_buffer, TORTURE_MEMORY, (size_t size, void *bytes, int mode),
        (size, bytes, mode))
POINTER(curl_easy_init, TORTURE_MEMORY, (void), ())
POINTER(pcre2_match_data_create_8, TORTURE_MEMORY, (uint32_t size, void *context), (size, context))
POINTER(opendir, TORTURE_OPEN, (const char *path), (path))
POINTER(fdopendir, TORTURE_OPEN, (int fd), (fd))
POINTER(fopen64, TORTURE_OPEN, (const char *path, const char *mode), (path, mode))

static void *(*REAL(json_vpack_ex))(void *error, size_t flags, const char *format, va_list args);
static void *(*REAL(json_pack))(const char *format, ...);
static void *wrap_json_pack(const char *format, ...)
{
    va_list args;
    if (hit(TORTURE_MEMORY, "json_pack", SITE) || REAL(json_vpack_ex) == NULL) {
        return NULL;
    }
    va_start(args, format);
    void *json = REAL(json_vpack_ex)(NULL, 0, format, args);
    va_end(args);
    return json;
}

WRAP(void *, mmap64, TORTURE_SPACE, ENOMEM, MAP_FAILED,
     (void *at, size_t len, int protection, int flags, int fd, off_t offset),
     (at, len, protection, flags, fd, offset))
WRAP(int, hs_alloc_scratch, TORTURE_MEMORY, ENOMEM, -2, (const void *database, void **scratch),
     (database, scratch))
WRAP(int, mdb_txn_begin, TORTURE_DATABASE, ENOMEM, ENOMEM,
     (void *env, void *parent, unsigned flags, void **txn), (env, parent, flags, txn))
WRAP(int, mdb_txn_renew, TORTURE_DATABASE, ENOMEM, ENOMEM, (void *txn), (txn))
WRAP(int, mdb_put, TORTURE_DATABASE, ENOSPC, ENOSPC,
     (void *txn, unsigned table, void *key, void *value, unsigned flags),
     (txn, table, key, value, flags))
WRAP(int, mdb_get, TORTURE_DATABASE, EIO, EIO, (void *txn, unsigned table, void *key, void *value),
     (txn, table, key, value))
WRAP(int, mdb_env_open, TORTURE_DATABASE, EMFILE, EMFILE,
     (void *env, const char *path, unsigned flags, mode_t mode), (env, path, flags, mode))
WRAP(int, sqlite3_prepare_v3, TORTURE_DATABASE, ENOMEM, 7 /* SQLITE_NOMEM */,
     (void *db, const char *sql, int len, unsigned flags, void **statement, const char **tail),
     (db, sql, len, flags, statement, tail))
WRAP(int, sqlite3_step, TORTURE_DATABASE, EIO, 10 /* SQLITE_IOERR */, (void *statement),
     (statement))

STATUS(fsync, TORTURE_SYNC, EIO, (int fd), (fd))
STATUS(fdatasync, TORTURE_SYNC, EIO, (int fd), (fd))
STATUS(syncfs, TORTURE_SYNC, EIO, (int fd), (fd))
STATUS(msync, TORTURE_SYNC, EIO, (void *at, size_t len, int flags), (at, len, flags))
STATUS(rename, TORTURE_NAME, ENOSPC, (const char *from, const char *to), (from, to))
STATUS(renameat, TORTURE_NAME, ENOSPC, (int a, const char *from, int b, const char *to),
       (a, from, b, to))
STATUS(link, TORTURE_NAME, ENOSPC, (const char *from, const char *to), (from, to))
STATUS(symlink, TORTURE_NAME, ENOSPC, (const char *target, const char *path), (target, path))
STATUS(unlinkat, TORTURE_NAME, EROFS, (int fd, const char *path, int flags), (fd, path, flags))
STATUS(mkdir, TORTURE_NAME, ENOSPC, (const char *path, mode_t mode), (path, mode))
STATUS(mkdirat, TORTURE_NAME, ENOSPC, (int fd, const char *path, mode_t mode), (fd, path, mode))
STATUS(fchmod, TORTURE_NAME, EROFS, (int fd, mode_t mode), (fd, mode))
STATUS(chmod, TORTURE_NAME, EROFS, (const char *path, mode_t mode), (path, mode))
STATUS(chown, TORTURE_NAME, EROFS, (const char *path, uid_t uid, gid_t gid), (path, uid, gid))
STATUS(fchown, TORTURE_NAME, EROFS, (int fd, uid_t uid, gid_t gid), (fd, uid, gid))
STATUS(ftruncate64, TORTURE_SPACE, ENOSPC, (int fd, off_t len), (fd, len))
STATUS(fallocate64, TORTURE_SPACE, ENOSPC, (int fd, int mode, off_t from, off_t len),
       (fd, mode, from, len))
WRAP(int, posix_fallocate64, TORTURE_SPACE, ENOSPC, ENOSPC, (int fd, off_t from, off_t len),
     (fd, from, len))
STATUS(fstat64, TORTURE_OPEN, EIO, (int fd, void *out), (fd, out))
STATUS(fstatvfs64, TORTURE_OPEN, EIO, (int fd, void *out), (fd, out))
STATUS(flock, TORTURE_OPEN, ENOLCK, (int fd, int operation), (fd, operation))
STATUS(mkostemp64, TORTURE_OPEN, EMFILE, (char *path, int flags), (path, flags))
STATUS(pipe2, TORTURE_OPEN, EMFILE, (int *fds, int flags), (fds, flags))
STATUS(socket, TORTURE_SOCKET, EMFILE, (int domain, int type, int protocol),
       (domain, type, protocol))
STATUS(bind, TORTURE_SOCKET, EADDRINUSE, (int fd, const void *address, socklen_t len),
       (fd, address, len))
STATUS(listen, TORTURE_SOCKET, EADDRINUSE, (int fd, int backlog), (fd, backlog))
STATUS(connect, TORTURE_SOCKET, ECONNREFUSED, (int fd, const void *address, socklen_t len),
       (fd, address, len))
STATUS(accept4, TORTURE_SOCKET, EMFILE, (int fd, void *address, socklen_t *len, int flags),
       (fd, address, len, flags))
WRAP(ssize_t, read, TORTURE_READ, EIO, -1, (int fd, void *out, size_t len), (fd, out, len))
WRAP(ssize_t, pread64, TORTURE_READ, EIO, -1, (int fd, void *out, size_t len, off_t offset),
     (fd, out, len, offset))
WRAP(ssize_t, recvmsg, TORTURE_READ, ENOMEM, -1, (int fd, void *message, int flags),
     (fd, message, flags))

static int (*REAL(open64))(const char *path, int flags, ...);
static int wrap_open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (hit(TORTURE_OPEN, "open", SITE)) {
        errno = EMFILE;
        return -1;
    }
    return REAL(open64)(path, flags, mode);
}

static int (*REAL(openat64))(int fd, const char *path, int flags, ...);
static int wrap_openat64(int fd, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (hit(TORTURE_OPEN, "openat", SITE)) {
        errno = EMFILE;
        return -1;
    }
    return REAL(openat64)(fd, path, flags, mode);
}

/* In the short mode the call that would fail writes half. */
#define WRITER(name, params, whole, half)                                                          \
    static ssize_t(*REAL(name)) params;                                                            \
    static ssize_t wrap_##name params                                                              \
    {                                                                                              \
        if (!hit(TORTURE_WRITE, #name, SITE)) {                                                    \
            return REAL(name) whole;                                                               \
        }                                                                                          \
        if (slot->mode == TORTURE_SHORT) {                                                         \
            return REAL(name) half;                                                                \
        }                                                                                          \
        errno = ENOSPC;                                                                            \
        return -1;                                                                                 \
    }
WRITER(write, (int fd, const void *bytes, size_t len), (fd, bytes, len), (fd, bytes, len / 2))
WRITER(pwrite64, (int fd, const void *bytes, size_t len, off_t offset), (fd, bytes, len, offset),
       (fd, bytes, len / 2, offset))
WRITER(writev, (int fd, const struct iovec *parts, int count), (fd, parts, count), (fd, parts, 1))
WRITER(send, (int fd, const void *bytes, size_t len, int flags), (fd, bytes, len, flags),
       (fd, bytes, len / 2, flags))
WRITER(sendto, (int fd, const void *bytes, size_t len, int flags, const void *to, socklen_t to_len),
       (fd, bytes, len, flags, to, to_len), (fd, bytes, len / 2, flags, to, to_len))

/* The wall clock may be off, as after somebody set it. */
static int (*REAL(clock_gettime))(clockid_t clock, struct timespec *out);
static int wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    int status = REAL(clock_gettime)(clock, out);
    if (status == 0 && slot != NULL && clock == CLOCK_REALTIME) {
        out->tv_sec += slot->clock;
    }
    return status;
}

/* -- whose calls ------------------------------------------------------------------------------- */

#define ROW(name)                                                                                  \
    {                                                                                              \
#name, (void *)wrap_##name, (void **)&REAL(name)                                           \
    }
static const struct row {
    const char *name;
    void *wrapper;
    void **real;
} rows[] = {
    ROW(clock_gettime),
    ROW(malloc),
    ROW(calloc),
    ROW(realloc),
    ROW(strdup),
    ROW(ngx_palloc),
    ROW(ngx_pcalloc),
    ROW(ngx_pnalloc),
    ROW(ngx_alloc_chain_link),
    ROW(ngx_chain_get_free_buf),
    ROW(ngx_create_temp_buf),
    ROW(ngx_list_push),
    ROW(ngx_array_push),
    ROW(ngx_array_create),
    ROW(ngx_pool_cleanup_add),
    ROW(EVP_CIPHER_CTX_new),
    ROW(EVP_MD_CTX_new),
    ROW(json_object),
    ROW(json_array),
    ROW(json_string),
    ROW(json_stringn),
    ROW(json_integer),
    ROW(json_dumps),
    ROW(json_pack),
    ROW(MHD_create_response_from_buffer),
    ROW(curl_easy_init),
    ROW(pcre2_match_data_create_8),
    ROW(opendir),
    ROW(fdopendir),
    ROW(fopen64),
    ROW(mmap64),
    ROW(hs_alloc_scratch),
    ROW(mdb_txn_begin),
    ROW(mdb_txn_renew),
    ROW(mdb_put),
    ROW(mdb_get),
    ROW(mdb_env_open),
    ROW(sqlite3_prepare_v3),
    ROW(sqlite3_step),
    ROW(fsync),
    ROW(fdatasync),
    ROW(syncfs),
    ROW(msync),
    ROW(rename),
    ROW(renameat),
    ROW(link),
    ROW(symlink),
    ROW(unlinkat),
    ROW(mkdir),
    ROW(mkdirat),
    ROW(fchmod),
    ROW(chmod),
    ROW(chown),
    ROW(fchown),
    ROW(ftruncate64),
    ROW(fallocate64),
    ROW(posix_fallocate64),
    ROW(fstat64),
    ROW(fstatvfs64),
    ROW(flock),
    ROW(mkostemp64),
    ROW(pipe2),
    ROW(socket),
    ROW(bind),
    ROW(listen),
    ROW(connect),
    ROW(accept4),
    ROW(read),
    ROW(pread64),
    ROW(recvmsg),
    ROW(open64),
    ROW(openat64),
    ROW(write),
    ROW(pwrite64),
    ROW(writev),
    ROW(send),
    ROW(sendto),
};

static void redirect(void **entry, const char *name)
{
    uintptr_t page = (uintptr_t)entry & ~(uintptr_t)(sysconf(_SC_PAGESIZE) - 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].name, name) == 0 && *entry != rows[i].wrapper) {
            /* With -z relro the table is closed once it is filled. */
            mprotect((void *)page, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE);
            *rows[i].real = *entry;
            *entry = rows[i].wrapper;
        }
    }
}

static void redirect_all(uintptr_t base, const ElfW(Rela) * relocations, size_t bytes,
                         const ElfW(Sym) * symbols, const char *names)
{
    for (size_t i = 0; i < bytes / sizeof *relocations; i++) {
        unsigned long type = ELF64_R_TYPE(relocations[i].r_info);
        if (type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT ||
            type == R_AARCH64_JUMP_SLOT || type == R_AARCH64_GLOB_DAT) {
            redirect((void **)(base + relocations[i].r_offset),
                     names + symbols[ELF64_R_SYM(relocations[i].r_info)].st_name);
        }
    }
}

static void take_object(uintptr_t base, const ElfW(Dyn) * dynamic)
{
    const ElfW(Sym) *symbols = NULL;
    const char *names = NULL;
    const ElfW(Rela) * tables[2] = {NULL, NULL};
    size_t bytes[2] = {0, 0};
    for (; dynamic != NULL && dynamic->d_tag != DT_NULL; dynamic++) {
        uintptr_t value = dynamic->d_un.d_val;
        symbols = dynamic->d_tag == DT_SYMTAB ? (const ElfW(Sym) *)value : symbols;
        names = dynamic->d_tag == DT_STRTAB ? (const char *)value : names;
        tables[0] = dynamic->d_tag == DT_JMPREL ? (const ElfW(Rela) *)value : tables[0];
        tables[1] = dynamic->d_tag == DT_RELA ? (const ElfW(Rela) *)value : tables[1];
        bytes[0] = dynamic->d_tag == DT_PLTRELSZ ? value : bytes[0];
        bytes[1] = dynamic->d_tag == DT_RELASZ ? value : bytes[1];
    }
    for (size_t i = 0; i < 2 && symbols != NULL && names != NULL; i++) {
        if (tables[i] != NULL) {
            redirect_all(base, tables[i], bytes[i], symbols, names);
        }
    }
}

static const char program_names[TORTURE_PROGRAMS][16] = {"nginx", "dvarad", "dvara-logd", "dvara"};

/* The module within nginx; otherwise the program itself, whose name the loader leaves empty. */
static bool is_ours(const char *name, int program)
{
    return program == 0 ? strstr(name, "ngx_http_dvara_module.so") != NULL : name[0] == '\0';
}

static int each_object(struct dl_phdr_info *info, size_t size, void *data)
{
    const ElfW(Phdr) *header = info->dlpi_phdr;
    struct object found = {info->dlpi_addr, info->dlpi_addr};
    const ElfW(Dyn) *dynamic = NULL;
    if (!is_ours(info->dlpi_name, *(int *)data) || object_count == 4) {
        return 0;
    }
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t end = info->dlpi_addr + header[i].p_vaddr + header[i].p_memsz;
        found.end = header[i].p_type == PT_LOAD && end > found.end ? end : found.end;
        if (header[i].p_type == PT_DYNAMIC) {
            dynamic = (const ElfW(Dyn) *)(info->dlpi_addr + header[i].p_vaddr);
        }
    }
    objects[object_count++ % 4] = found;
    take_object(info->dlpi_addr, dynamic);
    return 0;
}

static int program = -1;

static void find_objects(void)
{
    object_count = 0;
    REAL(json_vpack_ex) =
        (void *(*)(void *, size_t, const char *, va_list))dlsym(RTLD_DEFAULT, "json_vpack_ex");
    dl_iterate_phdr(each_object, &program);
}

static void find_folder(void)
{
    Dl_info self;
    if (dladdr((void *)find_objects, &self) != 0) {
        snprintf(folder, sizeof folder, "%s", self.dli_fname);
        char *slash = strrchr(folder, '/');
        *(slash != NULL ? slash : folder) = '\0';
    }
}

static void find_program(void)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    path[len < 0 ? 0 : len] = '\0';
    const char *slash = strrchr(path, '/');
    for (int i = 0; i < TORTURE_PROGRAMS && slash != NULL; i++) {
        if (strcmp(slash + 1, program_names[i]) == 0) {
            program = i;
        }
    }
}

static void map_control(void)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/control", folder);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *at = fd < 0 ? MAP_FAILED
                      : mmap(NULL, TORTURE_PROGRAMS * sizeof *slot, PROT_READ | PROT_WRITE,
                             MAP_SHARED, fd, 0);
    close(fd);
    slot = at == MAP_FAILED ? NULL : (torture_slot *)at + program;
}

__attribute__((constructor)) static void begin(void)
{
    find_program();
    find_folder();
    if (program >= 0) {
        map_control();
        find_objects();
    }
}

/* nginx loads the module later. */
EXPORT void *dlopen(const char *path, int flags)
{
    static void *(*real)(const char *path, int flags);
    if (real == NULL) {
        real = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
    }
    void *handle = real(path, flags);
    if (program == 0 && path != NULL && is_ours(path, program)) {
        find_objects();
    }
    return handle;
}
