/* SPDX-License-Identifier: Apache-2.0 */
/* dvara-witness: remembers the largest tree of each log that it knows, and cosigns what continues
 * it. It stands on another machine than the logs do, of other people when possible: that is what it
 * is worth. DIR holds all that it has:
 *
 *   key         its name and its seed (0600)
 *   logs.txt    the logs that it knows (engine/log/witness_logs.h); read anew at SIGHUP
 *   logs/       what it remembers of each
 *   conflicts/  what a log signed that does not continue it
 *   lock        held while it runs: two of them would not know of each other */

#include "base/codec.h"
#include "base/file.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "daemon/notify.h"
#include "daemon/service.h"
#include "daemon/witness_server.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_FILE_MAX = 1024, KEY_MODE = 0600, EXIT_USAGE = 2 };

static const char usage[] = "dvara-witness: cosigns the checkpoints of logs (C2SP tlog-witness).\n"
                            "usage: dvara-witness init --state DIR --name NAME\n"
                            "       dvara-witness show-key --state DIR\n"
                            "       dvara-witness run --state DIR [--listen ADDRESS:PORT]\n";

static const char help[] =
    "\n"
    "  init      make DIR, with a key, and print its verifier key; NAME is like a URL without a\n"
    "            scheme (witness.example.org/w1), and no other witness' name\n"
    "  show-key  print the verifier key, which logs configure (`audit: witnesses:` of dvara.yaml)\n"
    "  run       serve; at 127.0.0.1:7380 when --listen says nothing. It speaks HTTP: put a web\n"
    "            server before it for TLS. SIGHUP reads DIR/logs.txt anew, SIGTERM ends it\n"
    "\n"
    "  --state DIR            its folder; back DIR/key up, and never run two witnesses with it\n"
    "  --name NAME            of init\n"
    "  --listen ADDRESS:PORT  of run\n"
    "  --help, --version\n"
    "\n"
    "DIR/logs.txt says whom it cosigns: the line \"logs/v0\", then for each log \"vkey VKEY\" (of\n"
    "`dvara audit checkpoint`), two such lines while its key is replaced. A log that is in there "
    "no\n"
    "is told 404, one with another key 403.\n"
    "\n"
    "example: dvara-witness init --state /var/lib/dvara-witness --name witness.example.org/w1\n"
    "         dvara-witness run --state /var/lib/dvara-witness --listen 192.0.2.7:7380\n"
    "See also dvara-witness(8).\n";

typedef struct options {
    const char *verb;
    const char *state_dir;
    const char *name;
    const char *listen;
} options;

typedef struct program {
    const options *options;
    dv_witness_signer signer;
    dv_witness *witness;
    dv_witness_server *server;
    int lock;
    int signals;
    bool ending;
} program;

static dv_result path_in(const char *folder, const char *name, char out[PATH_MAX], dv_error *error)
{
    int len = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return len > 0 && len < PATH_MAX
               ? DV_OK
               : dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
}

static dv_result harden(dv_error *error)
{
    struct rlimit none = {0, 0};
    umask(0077);
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return dv_error_set(error, DV_ERR_IO, "this process can not be hardened: %s",
                            strerror(errno));
    }
    return dv_process_undumpable();
}

/* -- the key ----------------------------------------------------------------------------------- */

static dv_result complete(dv_witness_signer *signer, const char *name, dv_error *error)
{
    uint8_t public_key[DV_ED25519_PUBLIC_LEN];
    DV_TRY(dv_ed25519_public(signer->seed, public_key));
    return dv_cosigner_init(name, public_key, &signer->cosigner) == DV_OK
               ? DV_OK
               : dv_error_set(error, DV_ERR_INVALID,
                              "the name must have 1 to 128 characters, no spaces and no '+', such "
                              "as witness.example.org/w1");
}

/* "NAME\nHEX\n" */
static dv_result write_key(const char *path, const dv_witness_signer *signer, dv_error *error)
{
    dv_auto(secret_buf) dv_buf text = dv_buf_init(KEY_FILE_MAX);
    DV_TRY(dv_buf_reserve(&text, KEY_FILE_MAX / 2));
    DV_TRY(dv_buf_append_printf(&text, "%s\n", signer->cosigner.name));
    DV_TRY(dv_hex_encode(dv_slice_of(signer->seed, sizeof(signer->seed)), &text));
    DV_TRY(dv_buf_append_byte(&text, '\n'));
    return dv_file_write_atomic(path, dv_buf_slice(&text), KEY_MODE, error);
}

static dv_result check_private(const char *path, dv_error *error)
{
    struct stat about;
    if (lstat(path, &about) != 0) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "%s: %s: make a key with dvara-witness init",
                            path, strerror(errno));
    }
    if (!S_ISREG(about.st_mode) || about.st_uid != geteuid() || (about.st_mode & 0077) != 0) {
        return dv_error_set(error, DV_ERR_FORBIDDEN, "%s must be ours alone: chmod 600 %s", path,
                            path);
    }
    return DV_OK;
}

static dv_result load_key(const char *state_dir, dv_witness_signer *signer, dv_error *error)
{
    char path[PATH_MAX], name[DV_NOTE_NAME_MAX + 1];
    dv_slice first = {0}, hex = {0};
    dv_auto(secret_buf) dv_buf text = dv_buf_init(KEY_FILE_MAX);
    DV_TRY(path_in(state_dir, "key", path, error));
    DV_TRY(check_private(path, error));
    DV_TRY(dv_file_read(path, &text, error));
    dv_slice rest = dv_buf_slice(&text);
    if (!dv_slice_split(&rest, '\n', &first) || !dv_slice_split(&rest, '\n', &hex) ||
        first.len > DV_NOTE_NAME_MAX || hex.len != 2 * sizeof(signer->seed) ||
        dv_hex_decode(hex, signer->seed, sizeof(signer->seed)) != DV_OK) {
        return dv_error_set(error, DV_ERR_CORRUPT, "%s holds no key", path);
    }
    dv_slice_copy(first, name, sizeof(name));
    return complete(signer, name, error);
}

static dv_result print_key(const dv_witness_signer *signer)
{
    dv_auto(buf) dv_buf vkey = dv_buf_init(KEY_FILE_MAX);
    DV_TRY(dv_note_verifier_format(&signer->cosigner, &vkey));
    printf("%.*s\n", DV_SLICE_ARGS(dv_buf_slice(&vkey)));
    return DV_OK;
}

/* -- verbs ------------------------------------------------------------------------------------- */

static dv_result init(program *self, dv_error *error)
{
    char path[PATH_MAX], list[PATH_MAX];
    const options *o = self->options;
    DV_TRY(dv_dir_make(o->state_dir, 0700, error));
    DV_TRY(path_in(o->state_dir, "key", path, error));
    DV_TRY(path_in(o->state_dir, "logs.txt", list, error));
    if (access(path, F_OK) == 0) {
        return dv_error_set(error, DV_ERR_EXISTS, "%s is there already", path);
    }
    dv_random(self->signer.seed, sizeof(self->signer.seed));
    DV_TRY(complete(&self->signer, o->name, error));
    if (access(list, F_OK) != 0) {
        DV_TRY(
            dv_file_write_atomic(list, DV_LIT("logs/v0\n\n# vkey LOG+KEYID+KEY\n"), 0644, error));
    }
    DV_TRY(write_key(path, &self->signer, error));
    return print_key(&self->signer);
}

static dv_result show_key(program *self, dv_error *error)
{
    DV_TRY(load_key(self->options->state_dir, &self->signer, error));
    return print_key(&self->signer);
}

static dv_result load_list(const char *state_dir, dv_witness_logs *ret_logs, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(DV_WITNESS_LIST_MAX);
    DV_TRY(path_in(state_dir, "logs.txt", path, error));
    DV_TRY(dv_file_read(path, &text, error));
    return dv_witness_logs_parse(dv_buf_slice(&text), ret_logs, error);
}

static dv_result take_lock(program *self, dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(path_in(self->options->state_dir, "lock", path, error));
    self->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return self->lock >= 0 && flock(self->lock, LOCK_EX | LOCK_NB) == 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT, "%s: another dvara-witness runs there", path);
}

/* A list with an error leaves the one in force as it is. */
static void reload(program *self)
{
    dv_error error = {0};
    dv_witness_logs logs = {NULL, 0};
    dv_notify_reloading();
    dv_result result = load_list(self->options->state_dir, &logs, &error);
    if (result == DV_OK) {
        result = dv_witness_relist(self->witness, &logs, &error);
    }
    if (result == DV_OK) {
        dv_notify_ready();
        fputs("dvara-witness: the list was read anew\n", stderr);
    } else {
        dv_notify_reload_failed(error.message);
        fprintf(stderr, "dvara-witness: the list of logs stays as it was: %s\n", error.message);
    }
}

static void handle_signals(program *self)
{
    struct signalfd_siginfo info;
    while (read(self->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            reload(self);
        } else {
            self->ending = true;
        }
    }
}

static dv_result serve(program *self, dv_error *error)
{
    dv_witness_logs logs = {NULL, 0};
    DV_TRY(load_key(self->options->state_dir, &self->signer, error));
    DV_TRY(take_lock(self, error));
    DV_TRY(load_list(self->options->state_dir, &logs, error));
    DV_TRY(dv_witness_open(self->options->state_dir, &self->signer, &logs, &self->witness, error));
    self->signals = dv_service_signals();
    if (self->signals < 0) {
        return dv_error_set(error, DV_ERR_IO, "signals: %s", strerror(errno));
    }
    DV_TRY(dv_witness_server_open(self->witness, self->options->listen, &self->server, error));
    dv_notify_ready();
    fprintf(stderr, "dvara-witness: %s serves on %s\n", self->signer.cosigner.name,
            self->options->listen);
    struct pollfd fd = {.fd = self->signals, .events = POLLIN};
    while (!self->ending) {
        if (poll(&fd, 1, -1) > 0) {
            handle_signals(self);
        }
    }
    return DV_OK;
}

/* -- arguments --------------------------------------------------------------------------------- */

static bool read_options(int argc, char **argv, options *ret_options)
{
    static const struct option known[] = {{"state", required_argument, NULL, 's'},
                                          {"name", required_argument, NULL, 'n'},
                                          {"listen", required_argument, NULL, 'l'},
                                          {NULL, 0, NULL, 0}};
    options o = {.listen = "127.0.0.1:7380"};
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 's':
            o.state_dir = optarg;
            break;
        case 'n':
            o.name = optarg;
            break;
        case 'l':
            o.listen = optarg;
            break;
        default:
            return false;
        }
    }
    o.verb = optind + 1 == argc ? argv[optind] : "";
    *ret_options = o;
    return o.state_dir != NULL;
}

typedef dv_result (*verb_run)(program *self, dv_error *error);

static verb_run find_verb(const options *o)
{
    static const struct {
        const char *name;
        verb_run run;
    } verbs[] = {{"init", init}, {"show-key", show_key}, {"run", serve}};
    for (size_t i = 0; i < DV_ARRAY_LEN(verbs); i++) {
        if (strcmp(o->verb, verbs[i].name) == 0) {
            return verbs[i].run == init && o->name == NULL ? NULL : verbs[i].run;
        }
    }
    return NULL;
}

/* --help, wherever it stands, and --version. */
static bool tells(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, stdout);
            fputs(help, stdout);
            return true;
        }
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("dvara-witness " DV_VERSION);
        return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    options o;
    dv_error error = {0};
    program self = {.options = &o, .lock = -1, .signals = -1};
    if (tells(argc, argv)) {
        return 0;
    }
    verb_run run = read_options(argc, argv, &o) ? find_verb(&o) : NULL;
    if (run == NULL) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    dv_result result = harden(&error);
    if (result == DV_OK) {
        result = run(&self, &error);
    }
    dv_witness_server_close(self.server);
    if (self.witness != NULL) {
        dv_witness_close(self.witness);
    }
    dv_wipe(&self.signer, sizeof(self.signer));
    if (result != DV_OK) {
        fprintf(stderr, "dvara-witness: %s\n",
                error.message[0] != '\0' ? error.message : dv_result_name(result));
    }
    return result == DV_OK ? 0 : 1;
}
