/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config_bare.h"

#include "base/yaml.h"
#include "engine/detect/detect.h"

#include <ctype.h>

enum { ARENA = 32 << 20, DIGITS_MAX = 12, NAME_MAX_SHOWN = 64 };

typedef enum form {
    FORM_NONE = 0,
    FORM_NUMBER = 1,   /* also with a fraction, a percent sign, a unit: "64KiB", "90d" */
    FORM_WORD = 2,     /* one of `words` */
    FORM_DETECTOR = 4, /* the id of one, or its category */
    FORM_URL = 8,
} form;

#define FORM_EITHER (FORM_NUMBER | FORM_WORD)

/* The keys whose values may be shown, in the forms that they have. No key of a secret, a path, a
 * name, a text is here, and none that may be one somewhere in dvara.yaml. */
static const struct {
    const char *key;
    int forms;
} harmless[] = {
    {"listen", FORM_URL},
    {"admin_listen", FORM_URL},
    {"upstream", FORM_URL},
    {"url", FORM_URL},
    {"workers", FORM_EITHER},
    {"timeout", FORM_NUMBER},
    {"tls_version", FORM_NUMBER},
    {"version", FORM_NUMBER},
    {"cipher_suites", FORM_WORD},
    {"connections_per_address", FORM_EITHER},
    {"new_connections_per_address", FORM_EITHER},
    {"header_timeout", FORM_NUMBER},
    {"body_timeout", FORM_NUMBER},
    {"recorded_refusals", FORM_EITHER},
    {"count", FORM_NUMBER},
    {"per", FORM_EITHER},
    {"burst", FORM_NUMBER},
    {"tokens", FORM_NUMBER},
    {"cost", FORM_NUMBER},
    {"concurrent", FORM_NUMBER},
    {"warn", FORM_NUMBER},
    {"input", FORM_NUMBER},
    {"output", FORM_NUMBER},
    {"body_limit", FORM_NUMBER},
    {"max_tokens", FORM_NUMBER},
    {"ask_usage", FORM_WORD},
    {"match", FORM_WORD},
    {"methods", FORM_WORD},
    {"protocol", FORM_WORD},
    {"request_policy", FORM_WORD},
    {"answer_policy", FORM_WORD},
    {"action", FORM_WORD},
    {"default", FORM_WORD},
    {"override", FORM_WORD},
    {"direction", FORM_WORD},
    {"decode", FORM_WORD},
    {"names", FORM_WORD},
    {"detectors", FORM_DETECTOR | FORM_WORD},
    {"off", FORM_DETECTOR},
    {"keep_first", FORM_NUMBER},
    {"keep_last", FORM_NUMBER},
    {"luhn", FORM_WORD},
    {"letters", FORM_WORD},
    {"length", FORM_NUMBER},
    {"days", FORM_NUMBER},
    {"width", FORM_NUMBER},
    {"date_order", FORM_WORD},
    {"values", FORM_EITHER},
    {"port", FORM_NUMBER},
    {"metrics", FORM_WORD},
    {"type", FORM_WORD},
    {"format", FORM_WORD},
    {"severity", FORM_WORD},
    {"parser", FORM_WORD},
    {"raw", FORM_WORD},
    {"plaintext", FORM_WORD},
    {"rate", FORM_EITHER},
    {"batch", FORM_NUMBER},
    {"rotate_size", FORM_NUMBER},
    {"keep", FORM_EITHER},
    {"collect_spool", FORM_NUMBER},
    {"collect_keep_free", FORM_NUMBER},
    {"quorum", FORM_NUMBER},
    {"every", FORM_NUMBER},
    {"deadline", FORM_NUMBER},
    {"approvals", FORM_NUMBER},
    {"longest", FORM_NUMBER},
    {"algorithm", FORM_WORD},
    {"key_rotation", FORM_NUMBER},
    {"key_storage", FORM_WORD},
};

static const char *const words[] = {
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "auto",
    "any",
    "all",
    "none",
    "default",
    "*",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "year",
    "forever",
    "exact",
    "prefix",
    "request",
    "answer",
    "response",
    "both",
    "input",
    "output",
    "allow",
    "deny",
    "block",
    "alert",
    "mask",
    "placeholder",
    "redact",
    "monitor",
    "hash",
    "pseudonym",
    "token",
    "fpe",
    "date_shift",
    "generalise",
    "dmy",
    "mdy",
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "tcp",
    "udp",
    "icmp",
    "openai_chat",
    "openai_completions",
    "openai_responses",
    "openai_embeddings",
    "upload",
    "openai_models",
    "anthropic_messages",
    "json",
    "syslog",
    "file",
    "http",
    "https",
    "journald",
    "email",
    "otlp",
    "clickhouse",
    "opensearch",
    "webhook",
    "cef",
    "leef",
    "ocsf",
    "jsonl",
    "text",
    "auditd",
    "cloudtrail",
    "kubernetes_audit",
    "nginx",
    "postgresql",
    "sshd",
    "sudo",
    "suricata",
    "info",
    "informational",
    "fatal",
    "low",
    "medium",
    "high",
    "critical",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_AES_128_GCM_SHA256",
    "AES-256-GCM",
    "HSM",
    "hsm",
};

static const char *const units[] = {"%",   "B",  "kB", "KB", "MB", "GB", "TB", "KiB", "MiB", "GiB",
                                    "TiB", "ns", "us", "ms", "s",  "m",  "h",  "d",   "w",   "y"};

static const char *const schemes[] = {"http", "https", "tcp",   "udp",
                                      "tls",  "smtp",  "smtps", "unix"};

static const char *const own_hosts[] = {"127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::]"};

typedef struct bare {
    dv_buf *out;
    size_t removed;
} bare;

/* ---- What a value may be ---- */

static bool is_listed(dv_slice text, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (dv_slice_eq_str(text, list[i])) {
            return true;
        }
    }
    return false;
}

static size_t digits_of(dv_slice text)
{
    size_t len = 0;
    while (len < text.len && isdigit(text.ptr[len]) != 0) {
        len++;
    }
    return len;
}

static bool is_number(dv_slice text)
{
    size_t whole = digits_of(text);
    dv_slice rest = dv_slice_sub(text, whole, text.len);
    size_t fraction = 0;
    if (rest.len > 1 && rest.ptr[0] == '.') {
        fraction = digits_of(dv_slice_sub(rest, 1, rest.len));
        rest = dv_slice_sub(rest, 1 + fraction, rest.len);
    }
    return whole > 0 && whole + fraction <= DIGITS_MAX &&
           (rest.len == 0 || is_listed(rest, units, DV_ARRAY_LEN(units)));
}

static bool is_detector(dv_slice text)
{
    for (size_t i = 0; i < dv_detect_count(); i++) {
        const dv_detector_info *info = dv_detect_info(i);
        if (dv_slice_eq_str(text, info->id) || dv_slice_eq_str(text, info->category)) {
            return true;
        }
    }
    return false;
}

static int forms_of(const char *key)
{
    for (size_t i = 0; key != NULL && i < DV_ARRAY_LEN(harmless); i++) {
        if (strcmp(key, harmless[i].key) == 0) {
            return harmless[i].forms;
        }
    }
    return key != NULL && is_detector(dv_slice_str(key)) ? FORM_WORD : FORM_NONE;
}

/* ---- Writing ---- */

static dv_result put_removed(bare *b)
{
    b->removed++;
    return dv_buf_append_str(b->out, "\"[removed]\"");
}

/* A URL is taken apart, and only what is known of it is put together again. */
static dv_result put_url(bare *b, dv_slice text)
{
    dv_slice host;
    ptrdiff_t colon = dv_slice_find(text, DV_LIT("://"));
    dv_slice scheme = dv_slice_sub(text, 0, colon < 0 ? 0 : (size_t)colon);
    if (!is_listed(scheme, schemes, DV_ARRAY_LEN(schemes))) {
        return put_removed(b);
    }
    dv_slice rest = dv_slice_sub(text, scheme.len + 3, text.len);
    size_t len = 0;
    while (len < rest.len && strchr("/?#", rest.ptr[len]) == NULL) {
        len++;
    }
    host = dv_slice_sub(rest, 0, len);
    dv_slice path = dv_slice_sub(rest, len, rest.len);
    size_t digits = 0;
    while (digits < host.len && isdigit(host.ptr[host.len - 1 - digits]) != 0) {
        digits++;
    }
    bool port =
        digits > 0 && digits <= 5 && digits < host.len && host.ptr[host.len - 1 - digits] == ':';
    dv_slice number = dv_slice_sub(host, host.len - digits, port ? digits : 0);
    host.len -= port ? digits + 1 : 0;
    bool own = is_listed(host, own_hosts, DV_ARRAY_LEN(own_hosts));
    bool whole = own && (path.len == 0 || dv_slice_eq_str(path, "/"));
    b->removed += whole ? 0 : 1;
    return dv_buf_append_printf(
        b->out, "\"%.*s://%.*s%s%.*s%s\"", (int)scheme.len, (const char *)scheme.ptr,
        own ? (int)host.len : 9, own ? (const char *)host.ptr : "[removed]", port ? ":" : "",
        (int)number.len, (const char *)number.ptr, path.len > 1 ? "/[removed]" : "");
}

static dv_result put_scalar(bare *b, const dv_yaml *node, int forms)
{
    dv_slice text = dv_slice_str(node->text);
    if (node->type == DV_YAML_NULL) {
        return dv_buf_append_str(b->out, "null");
    }
    if ((forms & FORM_URL) != 0) {
        return put_url(b, text);
    }
    bool shown = ((forms & FORM_NUMBER) != 0 && is_number(text)) ||
                 ((forms & FORM_WORD) != 0 && is_listed(text, words, DV_ARRAY_LEN(words))) ||
                 ((forms & FORM_DETECTOR) != 0 && is_detector(text));
    if (!shown) {
        return put_removed(b);
    }
    return node->quoted || dv_slice_eq_str(text, "*") ? dv_buf_append_json_string(b->out, text)
                                                      : dv_buf_append(b->out, text);
}

/* Letters, digits and some marks: of a file that is no dvara.yaml, whole lines may be keys.
 */
static bool is_name(dv_slice key)
{
    for (size_t i = 0; i < key.len; i++) {
        if (isalnum(key.ptr[i]) == 0 && (key.ptr[i] == '\0' || !strchr("_-./*", key.ptr[i]))) {
            return false;
        }
    }
    return key.len > 0 && key.len <= NAME_MAX_SHOWN;
}

/* In quotes where YAML could take it for something else. One that is not shown has a number, since
 * no two may be the same. */
static dv_result put_key(bare *b, const char *key)
{
    dv_slice name = dv_slice_str(key);
    bool plain = !dv_slice_eq_nocase(name, DV_LIT("null"));
    for (size_t i = 0; i < name.len; i++) {
        plain = plain && (isalpha(name.ptr[i]) != 0 || name.ptr[i] == '_');
    }
    if (!is_name(name)) {
        b->removed++;
        return dv_buf_append_printf(b->out, "\"[removed %zu]\":", b->removed);
    }
    DV_TRY(plain ? dv_buf_append(b->out, name) : dv_buf_append_json_string(b->out, name));
    return dv_buf_append_byte(b->out, ':');
}

static dv_result put_node(bare *b, const dv_yaml *node, int forms, size_t depth);

/* forms: of a list's items, which are what the key says. */
static dv_result put_child(bare *b, const dv_yaml *list, const dv_yaml *child, int forms,
                           size_t depth)
{
    DV_TRY(dv_buf_append_printf(b->out, "\n%*s", (int)(2 * depth), ""));
    if (list->type == DV_YAML_LIST) {
        DV_TRY(dv_buf_append_byte(b->out, '-'));
        return put_node(b, child, forms, depth + 1);
    }
    DV_TRY(put_key(b, child->key));
    return put_node(b, child, forms_of(child->key), depth + 1);
}

/* dv_yaml_parse bounds the depth. */
static dv_result put_node(bare *b, const dv_yaml *node, int forms, size_t depth)
{
    if (node->type == DV_YAML_SCALAR || node->type == DV_YAML_NULL) {
        DV_TRY(dv_buf_append_byte(b->out, ' '));
        return put_scalar(b, node, forms);
    }
    if (node->first == NULL) {
        return dv_buf_append_str(b->out, node->type == DV_YAML_LIST ? " []" : " {}");
    }
    for (const dv_yaml *child = node->first; child != NULL; child = child->next) {
        DV_TRY(put_child(b, node, child, forms, depth));
    }
    return DV_OK;
}

dv_result dv_config_bare(dv_slice text, dv_buf *out, size_t *ret_removed, dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    const dv_yaml *root = NULL;
    bare b = {.out = out};
    if (arena == NULL) {
        return dv_error_set(error, DV_ERR_NO_MEMORY, "no memory");
    }
    DV_TRY(dv_yaml_parse(text, arena, &root, error));
    DV_TRY(dv_buf_append_str(out, "---"));
    DV_TRY(put_node(&b, root, FORM_NONE, 0));
    DV_TRY(dv_buf_append_byte(out, '\n'));
    *ret_removed = b.removed;
    return DV_OK;
}
