/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/export/config.h"

#include <arpa/inet.h>

enum { ARENA_MAX = 1 << 20, BATCH_DEFAULT = 1 << 20, BATCH_MAX = 8 << 20, KEEP_MAX = 1000 };

#define ALARM_AFTER (15 * 60 * DV_SECOND)
#define REPEAT (3600 * DV_SECOND)

/* Which keys a type takes beside those that all take. */
enum {
    TAKES_URL = 1 << 0,
    TAKES_FORMAT = 1 << 1,
    TAKES_LOGIN = 1 << 2, /* user and password_file */
    TAKES_TOKEN = 1 << 3,
    TAKES_FILE = 1 << 4,
    TAKES_TABLE = 1 << 5,
    TAKES_INDEX = 1 << 6,
    TAKES_SECRET = 1 << 7,
    TAKES_MAIL = 1 << 8,
    TELLS_ALERTS = 1 << 9, /* one message an alert */
};

static const struct {
    const char *name;
    unsigned takes;
    const char *schemes[3]; /* with TLS first; NULL-ended */
} types[DV_EXPORT_TYPES] = {
    [DV_EXPORT_FILE] = {"file", TAKES_FORMAT | TAKES_FILE, {NULL}},
    [DV_EXPORT_SYSLOG] = {"syslog", TAKES_URL | TAKES_FORMAT, {"tls://", "tcp://", NULL}},
    [DV_EXPORT_OTLP] = {"otlp",
                        TAKES_URL | TAKES_LOGIN | TAKES_TOKEN,
                        {"https://", "http://", NULL}},
    [DV_EXPORT_CLICKHOUSE] = {"clickhouse",
                              TAKES_URL | TAKES_LOGIN | TAKES_TABLE,
                              {"https://", "http://", NULL}},
    [DV_EXPORT_OPENSEARCH] = {"opensearch",
                              TAKES_URL | TAKES_LOGIN | TAKES_TOKEN | TAKES_INDEX,
                              {"https://", "http://", NULL}},
    [DV_EXPORT_WEBHOOK] = {"webhook",
                           TAKES_URL | TAKES_TOKEN | TAKES_SECRET | TELLS_ALERTS,
                           {"https://", "http://", NULL}},
    [DV_EXPORT_EMAIL] = {"email",
                         TAKES_URL | TAKES_LOGIN | TAKES_MAIL | TELLS_ALERTS,
                         {"smtps://", "smtp://", NULL}},
};

static const struct {
    const char *key;
    unsigned taken_by; /* 0: all types */
} keys[] = {
    {"name", 0},
    {"type", 0},
    {"events", 0},
    {"classes", 0},
    {"severity", 0},
    {"logs", 0},
    {"start", 0},
    {"alarm_after", 0},
    {"repeat", 0},
    {"batch", 0},
    {"url", TAKES_URL},
    {"ca", TAKES_URL},
    {"certificate", TAKES_URL},
    {"certificate_key", TAKES_URL},
    {"tls_version", TAKES_URL},
    {"plaintext", TAKES_URL},
    {"format", TAKES_FORMAT},
    {"user", TAKES_LOGIN},
    {"password_file", TAKES_LOGIN},
    {"token_file", TAKES_TOKEN},
    {"path", TAKES_FILE},
    {"rotate_size", TAKES_FILE},
    {"keep", TAKES_FILE},
    {"table", TAKES_TABLE},
    {"index", TAKES_INDEX},
    {"secret_file", TAKES_SECRET},
    {"from", TAKES_MAIL},
    {"to", TAKES_MAIL},
};

/* OCSF severity_id by its place. */
static const char *const severities[] = {"",     "informational", "low",  "medium",
                                         "high", "critical",      "fatal"};

const char *dv_export_type_name(dv_export_type type)
{
    return types[type].name;
}

/* -- single values ----------------------------------------------------------------------------- */

/* Letters, digits and what else is said. */
static bool is_word(const char *text, const char *more, size_t max)
{
    size_t len = strlen(text);
    for (const char *at = text; *at != '\0'; at++) {
        bool alnum =
            (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9');
        if (!alnum && strchr(more, *at) == NULL) {
            return false;
        }
    }
    return len > 0 && len <= max;
}

static bool is_printable(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~') {
            return false;
        }
    }
    return *text != '\0';
}

static dv_result read_text(const dv_yaml *entry, const char *key, const char **ret_text,
                           dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(entry, key);
    return node == NULL ? DV_OK : dv_yaml_string(node, ret_text, error);
}

static dv_result read_word(const dv_yaml *entry, const char *key, const char *more, size_t max,
                           const char **ret_text, dv_error *error)
{
    DV_TRY(read_text(entry, key, ret_text, error));
    if (*ret_text != NULL && !is_word(*ret_text, more, max)) {
        return dv_yaml_refuse(dv_yaml_get(entry, key), error,
                              "'%s' of an export has letters, digits and %s only, and at most %zu",
                              key, more, max);
    }
    return DV_OK;
}

static dv_result read_path(const dv_yaml *entry, const char *key, const char **ret_path,
                           dv_error *error)
{
    const char *path = NULL;
    DV_TRY(read_text(entry, key, &path, error));
    if (path != NULL && path[0] != '/') {
        return dv_yaml_refuse(dv_yaml_get(entry, key), error, "'%s' wants an absolute path", key);
    }
    *ret_path = path;
    return DV_OK;
}

static dv_result read_duration(const dv_yaml *entry, const char *key, dv_time most, dv_time *ret,
                               dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(entry, key);
    dv_time time = 0;
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_duration(node, &time, error));
    if (time < 0 || time > most) {
        return dv_yaml_refuse(node, error, "'%s' is too long", key);
    }
    *ret = time;
    return DV_OK;
}

/* One text, or a list of them. */
static dv_result read_words(const dv_yaml *entry, const char *key, dv_arena *arena,
                            const char *const **ret_words, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(entry, key);
    const char **words = dv_arena_alloc(arena, (DV_EXPORT_WORDS_MAX + 1) * sizeof(*words));
    size_t count = 0;
    if (node == NULL) {
        return DV_OK;
    }
    if (words == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    const dv_yaml *item = node->type == DV_YAML_LIST ? node->first : node;
    for (; item != NULL; item = node->type == DV_YAML_LIST ? item->next : NULL) {
        if (count == DV_EXPORT_WORDS_MAX) {
            return dv_yaml_refuse(item, error, "'%s' has more than %d entries", key,
                                  DV_EXPORT_WORDS_MAX);
        }
        DV_TRY(dv_yaml_string(item, &words[count], error));
        if (!is_printable(words[count])) {
            return dv_yaml_refuse(item, error, "'%s' wants words without spaces", key);
        }
        count++;
    }
    if (count == 0) {
        return dv_yaml_refuse(node, error, "'%s' is an empty list: leave it out for all", key);
    }
    *ret_words = words;
    return DV_OK;
}

static dv_result read_classes(const dv_yaml *entry, dv_arena *arena,
                              dv_export_destination *destination, dv_error *error)
{
    enum { CLASS_MAX = 999999 };
    const dv_yaml *node = dv_yaml_get(entry, "classes");
    if (node == NULL) {
        return DV_OK;
    }
    if (node->type != DV_YAML_LIST || node->first == NULL) {
        return dv_yaml_refuse(node, error, "'classes' wants OCSF's class_uid, such as [2004]");
    }
    int64_t *classes = dv_arena_alloc(arena, DV_EXPORT_WORDS_MAX * sizeof(*classes));
    if (classes == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (const dv_yaml *item = node->first; item != NULL; item = item->next) {
        if (destination->class_count == DV_EXPORT_WORDS_MAX) {
            return dv_yaml_refuse(item, error, "'classes' has more than %d entries",
                                  DV_EXPORT_WORDS_MAX);
        }
        DV_TRY(dv_yaml_int(item, 0, CLASS_MAX, &classes[destination->class_count++], error));
    }
    destination->classes = classes;
    return DV_OK;
}

static dv_result read_severity(const dv_yaml *entry, dv_export_destination *destination,
                               dv_error *error)
{
    const char *text = NULL;
    DV_TRY(read_text(entry, "severity", &text, error));
    for (size_t i = 1; text != NULL && i < DV_ARRAY_LEN(severities); i++) {
        if (strcmp(text, severities[i]) == 0) {
            destination->severity = (int64_t)i;
        }
    }
    if (text != NULL && destination->severity == 0) {
        return dv_yaml_refuse(dv_yaml_get(entry, "severity"), error,
                              "severity '%.32s': it is informational, low, medium, high, critical "
                              "or fatal, and means this and above",
                              text);
    }
    return DV_OK;
}

/* One of two words. */
static dv_result read_choice(const dv_yaml *entry, const char *key, const char *no, const char *yes,
                             bool *ret_yes, dv_error *error)
{
    const char *text = NULL;
    DV_TRY(read_text(entry, key, &text, error));
    if (text != NULL && strcmp(text, no) != 0 && strcmp(text, yes) != 0) {
        return dv_yaml_refuse(dv_yaml_get(entry, key), error, "%s '%.32s': it is %s or %s", key,
                              text, no, yes);
    }
    *ret_yes = text != NULL && strcmp(text, yes) == 0;
    return DV_OK;
}

static dv_result read_sizes(const dv_yaml *entry, dv_export_destination *destination,
                            dv_error *error)
{
    const dv_yaml *batch = dv_yaml_get(entry, "batch");
    const dv_yaml *rotate = dv_yaml_get(entry, "rotate_size");
    const dv_yaml *keep = dv_yaml_get(entry, "keep");
    destination->batch = BATCH_DEFAULT;
    destination->keep = 8;
    if (batch != NULL) {
        DV_TRY(dv_yaml_size(batch, BATCH_MAX, &destination->batch, error));
    }
    if (destination->batch < 1024) {
        return dv_yaml_refuse(batch, error, "'batch' is 1KiB at least");
    }
    if (rotate != NULL) {
        DV_TRY(dv_yaml_size(rotate, UINT64_C(1) << 50, &destination->rotate_size, error));
    }
    return keep == NULL ? DV_OK : dv_yaml_int(keep, 1, KEEP_MAX, &destination->keep, error);
}

/* -- URLs -------------------------------------------------------------------------------------- */

/* The host between scheme and port, without brackets. */
static bool url_host(const char *rest, char out[256])
{
    bool bracket = rest[0] == '[';
    size_t len = bracket ? strcspn(++rest, "]") : strcspn(rest, ":/?");
    if (len == 0 || len >= 256 || (bracket && rest[len] != ']')) {
        return false;
    }
    memcpy(out, rest, len);
    out[len] = '\0';
    return true;
}

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1) {
        return (ntohl(v4.s_addr) >> 24) == 127;
    }
    if (inet_pton(AF_INET6, host, &v6) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&v6);
    }
    return strcmp(host, "localhost") == 0;
}

/* What anybody could read on its way stays on this machine, unless the file says otherwise. */
static dv_result check_clear(const dv_yaml *node, const dv_export_destination *destination,
                             const char *host, bool with_tls, dv_error *error)
{
    if (with_tls || destination->plaintext) {
        return DV_OK;
    }
    /* smtp:// begins in the clear and goes on with TLS, which is then required. */
    if (destination->type == DV_EXPORT_EMAIL || is_loopback(host)) {
        return DV_OK;
    }
    return dv_yaml_refuse(node, error,
                          "'url' sends events unencrypted to %s: use %s, or say plaintext: true "
                          "when you know that nobody else can read there",
                          host, types[destination->type].schemes[0]);
}

static dv_result check_url(const dv_yaml *entry, const dv_export_destination *destination,
                           dv_error *error)
{
    char host[256];
    const char *const *schemes = types[destination->type].schemes;
    const dv_yaml *node = dv_yaml_get(entry, "url");
    for (size_t i = 0; schemes[i] != NULL; i++) {
        size_t len = strlen(schemes[i]);
        if (strncmp(destination->url, schemes[i], len) != 0) {
            continue;
        }
        if (strchr(destination->url, '@') != NULL || !is_printable(destination->url) ||
            strchr(destination->url, '#') != NULL || !url_host(destination->url + len, host)) {
            return dv_yaml_refuse(node, error,
                                  "'url' is %sHOST:PORT/...: without a user or password, which "
                                  "have keys of their own",
                                  schemes[i]);
        }
        return check_clear(node, destination, host, i == 0, error);
    }
    return dv_yaml_refuse(node, error, "'url' of type %s begins with %s or %s",
                          types[destination->type].name, schemes[0], schemes[1]);
}

static dv_result read_url(const dv_yaml *entry, dv_export_destination *destination, dv_error *error)
{
    const dv_yaml *plaintext = dv_yaml_get(entry, "plaintext");
    DV_TRY(read_text(entry, "url", &destination->url, error));
    DV_TRY(read_path(entry, "ca", &destination->ca, error));
    DV_TRY(read_path(entry, "certificate", &destination->certificate, error));
    DV_TRY(read_path(entry, "certificate_key", &destination->certificate_key, error));
    DV_TRY(dv_yaml_tls_version(dv_yaml_get(entry, "tls_version"), &destination->tls_12, error));
    if (plaintext != NULL) {
        DV_TRY(dv_yaml_bool(plaintext, &destination->plaintext, error));
    }
    if (destination->url == NULL) {
        return dv_yaml_refuse(entry, error, "an export of type %s lacks 'url'",
                              types[destination->type].name);
    }
    if ((destination->certificate == NULL) != (destination->certificate_key == NULL)) {
        return dv_yaml_refuse(entry, error, "'certificate' and 'certificate_key' go together");
    }
    return check_url(entry, destination, error);
}

/* -- one entry --------------------------------------------------------------------------------- */

static dv_result check_keys(const dv_yaml *entry, dv_export_type type, dv_error *error)
{
    const char *known[DV_ARRAY_LEN(keys) + 1] = {NULL};
    for (size_t i = 0; i < DV_ARRAY_LEN(keys); i++) {
        known[i] = keys[i].key;
    }
    DV_TRY(dv_yaml_check_keys(entry, known, error));
    for (size_t i = 0; i < DV_ARRAY_LEN(keys); i++) {
        const dv_yaml *node = dv_yaml_get(entry, keys[i].key);
        if (node != NULL && keys[i].taken_by != 0 && (keys[i].taken_by & types[type].takes) == 0) {
            return dv_yaml_refuse(node, error, "an export of type %s has no '%s'", types[type].name,
                                  keys[i].key);
        }
    }
    return DV_OK;
}

static dv_result read_type(const dv_yaml *entry, dv_export_type *ret_type, dv_error *error)
{
    const char *text = NULL;
    DV_TRY(read_text(entry, "type", &text, error));
    for (unsigned type = 0; text != NULL && type < DV_EXPORT_TYPES; type++) {
        if (strcmp(text, types[type].name) == 0) {
            *ret_type = (dv_export_type)type;
            return DV_OK;
        }
    }
    return dv_yaml_refuse(entry, error,
                          "an export has a 'type': file, syslog, otlp, clickhouse, opensearch, "
                          "webhook or email");
}

static dv_result require(const dv_yaml *entry, const dv_export_destination *destination,
                         unsigned takes, const char *key, bool is_there, dv_error *error)
{
    if ((types[destination->type].takes & takes) == 0 || is_there) {
        return DV_OK;
    }
    return dv_yaml_refuse(entry, error, "an export of type %s lacks '%s'",
                          types[destination->type].name, key);
}

static dv_result read_secrets(const dv_yaml *entry, dv_export_destination *destination,
                              dv_error *error)
{
    DV_TRY(read_text(entry, "user", &destination->user, error));
    DV_TRY(read_path(entry, "password_file", &destination->password_file, error));
    DV_TRY(read_path(entry, "token_file", &destination->token_file, error));
    DV_TRY(read_path(entry, "secret_file", &destination->secret_file, error));
    if ((destination->user == NULL) != (destination->password_file == NULL)) {
        return dv_yaml_refuse(entry, error, "'user' and 'password_file' go together");
    }
    if (destination->user != NULL && destination->token_file != NULL) {
        return dv_yaml_refuse(entry, error, "either 'user' or 'token_file'");
    }
    return destination->user == NULL || is_printable(destination->user)
               ? DV_OK
               : dv_yaml_refuse(entry, error, "'user' has spaces or control characters");
}

static bool is_mail_address(const char *text)
{
    const char *at = strchr(text, '@');
    return at != NULL && at != text && at[1] != '\0' && strchr(at + 1, '@') == NULL &&
           strlen(text) <= 254 && is_printable(text) && strpbrk(text, "<>,;:\\\"()[]") == NULL;
}

static dv_result read_mail(const dv_yaml *entry, dv_arena *arena,
                           dv_export_destination *destination, dv_error *error)
{
    DV_TRY(read_text(entry, "from", &destination->from, error));
    DV_TRY(read_words(entry, "to", arena, &destination->to, error));
    DV_TRY(require(entry, destination, TAKES_MAIL, "from", destination->from != NULL, error));
    DV_TRY(require(entry, destination, TAKES_MAIL, "to", destination->to != NULL, error));
    if (destination->from != NULL && !is_mail_address(destination->from)) {
        return dv_yaml_refuse(dv_yaml_get(entry, "from"), error, "'from' is no mail address");
    }
    for (size_t i = 0; destination->to != NULL && destination->to[i] != NULL; i++) {
        if (!is_mail_address(destination->to[i])) {
            return dv_yaml_refuse(dv_yaml_get(entry, "to"), error, "'%.64s' is no mail address",
                                  destination->to[i]);
        }
    }
    return DV_OK;
}

/* What the type is sent to beside its URL. */
static dv_result read_place(const dv_yaml *entry, dv_arena *arena,
                            dv_export_destination *destination, dv_error *error)
{
    enum { PLACE_MAX = 200 };
    DV_TRY(read_path(entry, "path", &destination->path, error));
    DV_TRY(require(entry, destination, TAKES_FILE, "path", destination->path != NULL, error));
    DV_TRY(read_word(entry, "table", "_.", PLACE_MAX, &destination->table, error));
    DV_TRY(require(entry, destination, TAKES_TABLE, "table", destination->table != NULL, error));
    DV_TRY(read_word(entry, "index", "_.-", PLACE_MAX, &destination->index, error));
    DV_TRY(require(entry, destination, TAKES_INDEX, "index", destination->index != NULL, error));
    DV_TRY(read_mail(entry, arena, destination, error));
    if ((types[destination->type].takes & TAKES_URL) == 0) {
        return DV_OK;
    }
    return read_url(entry, destination, error);
}

static dv_result read_filter(const dv_yaml *entry, dv_arena *arena,
                             dv_export_destination *destination, dv_error *error)
{
    static const char *const alerts[] = {"alert.raised", NULL};
    bool tells_alerts = (types[destination->type].takes & TELLS_ALERTS) != 0;
    destination->events = tells_alerts ? alerts : NULL;
    destination->repeat = tells_alerts ? REPEAT : 0;
    destination->alarm_after = ALARM_AFTER;
    DV_TRY(read_words(entry, "events", arena, &destination->events, error));
    DV_TRY(read_words(entry, "logs", arena, &destination->logs, error));
    for (size_t i = 0; destination->logs != NULL && destination->logs[i] != NULL; i++) {
        if (!is_word(destination->logs[i], "-_", DV_EXPORT_NAME_MAX)) {
            return dv_yaml_refuse(dv_yaml_get(entry, "logs"), error, "'%.64s' is no name of a log",
                                  destination->logs[i]);
        }
    }
    DV_TRY(read_classes(entry, arena, destination, error));
    DV_TRY(read_severity(entry, destination, error));
    DV_TRY(read_duration(entry, "repeat", 366 * 86400 * DV_SECOND, &destination->repeat, error));
    return read_duration(entry, "alarm_after", 366 * 86400 * DV_SECOND, &destination->alarm_after,
                         error);
}

static dv_result read_entry(const dv_yaml *entry, dv_arena *arena,
                            dv_export_destination *destination, dv_error *error)
{
    if (entry->type != DV_YAML_MAP) {
        return dv_yaml_refuse(entry, error,
                              "an export looks like {name: archive, type: file, path: "
                              "/var/log/dvara/events.jsonl}");
    }
    DV_TRY(read_type(entry, &destination->type, error));
    DV_TRY(check_keys(entry, destination->type, error));
    DV_TRY(read_word(entry, "name", "-_", DV_EXPORT_NAME_MAX, &destination->name, error));
    if (destination->name == NULL) {
        return dv_yaml_refuse(entry, error, "an export lacks 'name'");
    }
    DV_TRY(read_choice(entry, "format", "json", "cef", &destination->cef, error));
    DV_TRY(read_choice(entry, "start", "beginning", "now", &destination->from_now, error));
    DV_TRY(read_sizes(entry, destination, error));
    DV_TRY(read_filter(entry, arena, destination, error));
    DV_TRY(read_secrets(entry, destination, error));
    return read_place(entry, arena, destination, error);
}

static dv_result check_unique(const dv_yaml *entry, const dv_export_destination *destinations,
                              size_t count, dv_error *error)
{
    const dv_export_destination *last = &destinations[count - 1];
    for (size_t i = 0; i + 1 < count; i++) {
        if (strcmp(destinations[i].name, last->name) == 0) {
            return dv_yaml_refuse(entry, error, "there is an export '%s' already", last->name);
        }
        if (last->path != NULL && destinations[i].path != NULL &&
            strcmp(destinations[i].path, last->path) == 0) {
            return dv_yaml_refuse(entry, error, "the export '%s' writes to this file already",
                                  destinations[i].name);
        }
    }
    return DV_OK;
}

dv_result dv_export_config_read(const dv_yaml *list, dv_arena *arena,
                                const dv_export_destination **ret_destinations, size_t *ret_count,
                                dv_error *error)
{
    size_t count = 0;
    dv_export_destination *destinations =
        dv_arena_alloc(arena, DV_EXPORT_DESTINATIONS_MAX * sizeof(*destinations));
    if (destinations == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (list != NULL && list->type != DV_YAML_LIST && list->type != DV_YAML_NULL) {
        return dv_yaml_refuse(list, error, "'export' wants a list of destinations");
    }
    for (const dv_yaml *entry = list == NULL ? NULL : list->first; entry != NULL;
         entry = entry->next) {
        if (count == DV_EXPORT_DESTINATIONS_MAX) {
            return dv_yaml_refuse(entry, error, "more than %d exports", DV_EXPORT_DESTINATIONS_MAX);
        }
        DV_TRY(read_entry(entry, arena, &destinations[count++], error));
        DV_TRY(check_unique(entry, destinations, count, error));
    }
    *ret_destinations = destinations;
    *ret_count = count;
    return DV_OK;
}

dv_result dv_export_config_check(const dv_yaml *list, dv_error *error)
{
    const dv_export_destination *destinations;
    size_t count;
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA_MAX);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    return dv_export_config_read(list, arena, &destinations, &count, error);
}
