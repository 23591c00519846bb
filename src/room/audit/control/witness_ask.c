/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/control/witness_ask.h"

#include "engine/log/witness.h"

#include <curl/curl.h>
#include <inttypes.h>

enum { ANSWER_MAX = DV_NOTE_MAX, TIMEOUT_MS = 15000, CONNECT_MS = 5000, TRIES = 3 };

typedef struct reply {
    long status;
    dv_buf body;
} reply;

const char *dv_witness_state_name(dv_witness_state state)
{
    static const char *const names[] = {"waiting", "ok",    "unavailable",
                                        "refuses", "ahead", "forked"};
    return names[state];
}

/* -- HTTP -------------------------------------------------------------------------------------- */

static size_t take_body(char *bytes, size_t size, size_t count, void *data)
{
    reply *in = data;
    return dv_buf_append(&in->body, dv_slice_of(bytes, size * count)) == DV_OK ? size * count : 0;
}

static int look_up(void *data, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const bool *cancelled = data;
    return __atomic_load_n(cancelled, __ATOMIC_RELAXED) ? 1 : 0;
}

static bool set_up(CURL *curl, const char *url, dv_slice body, const bool *cancelled, reply *out)
{
    return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "dvara") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)body.len) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)body.ptr) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_up) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFODATA, cancelled) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, out) == CURLE_OK;
}

static dv_result post(const dv_witness_question *question, dv_slice body, reply *out,
                      char why[DV_WITNESS_WHY_MAX])
{
    char url[DV_POLICY_URL_MAX + 32];
    const char *prefix = question->witness->url;
    size_t len = strlen(prefix);
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: text/plain");
    dv_buf_clear(&out->body);
    snprintf(url, sizeof(url), "%s%sadd-checkpoint", prefix,
             len > 0 && prefix[len - 1] == '/' ? "" : "/");
    CURLcode code = CURLE_FAILED_INIT;
    if (curl != NULL && headers != NULL && set_up(curl, url, body, question->cancelled, out) &&
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK) {
        code = curl_easy_perform(curl);
    }
    if (code == CURLE_OK) {
        code = curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out->status);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    snprintf(why, DV_WITNESS_WHY_MAX, "%s", code == CURLE_OK ? "" : curl_easy_strerror(code));
    return code == CURLE_OK ? DV_OK : DV_ERR_UNAVAILABLE;
}

/* -- question and answer ----------------------------------------------------------------------- */

static dv_result make_body(const dv_witness_question *question, uint64_t old_size, dv_buf *out)
{
    dv_hash proof[DV_PROOF_MAX];
    dv_error error = {0};
    dv_witness_request request = {.old_size = old_size, .note = question->note};
    uint64_t size = question->checkpoint->size;
    if (old_size > 0 && old_size < size) {
        DV_TRY(dv_tiles_consistency_from(question->tiles, old_size, size, proof, &request.proof_len,
                                         &error));
        if (request.proof_len > DV_WITNESS_PROOF_MAX) {
            return DV_ERR_TOO_LARGE;
        }
        memcpy(request.proof, proof, request.proof_len * sizeof(proof[0]));
    }
    dv_buf_clear(out);
    return dv_witness_request_format(&request, out);
}

/* "The client MUST ignore any cosignatures from unknown keys": those that verify are kept, and one
 * of the known key that does not spoils the answer. */
static dv_result take_lines(const dv_witness_question *question, dv_slice answer, dv_buf *lines)
{
    dv_note ours, parts;
    uint64_t time;
    dv_auto(buf) dv_buf whole = dv_buf_init(DV_NOTE_MAX);
    dv_auto(note_signature) dv_note_signature line = {.key_id = 0};
    DV_TRY(dv_note_split(question->note, &ours));
    DV_TRY(dv_buf_append(&whole, ours.text));
    DV_TRY(dv_buf_append_byte(&whole, '\n'));
    DV_TRY(dv_buf_append(&whole, answer));
    DV_TRY(dv_cosignature_verify(dv_buf_slice(&whole), &question->witness->key, &time));
    DV_TRY(dv_note_split(dv_buf_slice(&whole), &parts));
    if (!dv_slice_eq(parts.text, ours.text)) {
        return DV_ERR_INVALID; /* an empty line in the answer: it is over something else */
    }
    while (dv_note_next(&parts.signatures, &line) == DV_OK) {
        if (dv_note_signed_by(&line, &question->witness->key)) {
            DV_TRY(dv_buf_append(lines, line.line));
            DV_TRY(dv_buf_append_byte(lines, '\n'));
        }
    }
    return DV_OK;
}

static dv_witness_state of_status(const reply *in, char why[DV_WITNESS_WHY_MAX])
{
    switch (in->status) {
    case DV_WITNESS_UNKNOWN:
        snprintf(why, DV_WITNESS_WHY_MAX,
                 "it does not know this log (404): add the line \"vkey VKEY\", of `dvara audit "
                 "checkpoint`, to its logs.txt and reload it");
        return DV_WITNESS_REFUSES;
    case DV_WITNESS_UNSIGNED:
        snprintf(why, DV_WITNESS_WHY_MAX,
                 "it knows this log by another key (403): add the line \"vkey VKEY\" of the key "
                 "that signs, of `dvara audit keys`, to its logs.txt and reload it");
        return DV_WITNESS_REFUSES;
    case DV_WITNESS_MALFORMED:
        snprintf(why, DV_WITNESS_WHY_MAX,
                 "it can't read what it is asked (400): is `url` that of a witness (C2SP "
                 "tlog-witness)?");
        return DV_WITNESS_REFUSES;
    case DV_WITNESS_INCONSISTENT:
        snprintf(why, DV_WITNESS_WHY_MAX,
                 "it saw another log under this name: what it cosigned is no part of this one");
        return DV_WITNESS_FORKED;
    default:
        snprintf(why, DV_WITNESS_WHY_MAX, "it answers %ld", in->status);
        return DV_WITNESS_UNAVAILABLE;
    }
}

/* It remembers another size: larger than ours, or one to ask with again. */
static bool other_size(const dv_witness_question *question, const reply *in, uint64_t *size,
                       dv_witness_state *state, char why[DV_WITNESS_WHY_MAX])
{
    uint64_t remembered;
    dv_slice text = dv_slice_trim(dv_buf_slice(&in->body));
    if (in->status != DV_WITNESS_OTHER_SIZE) {
        return false;
    }
    if (dv_decimal_parse(text, &remembered) != DV_OK) {
        *state = DV_WITNESS_UNAVAILABLE;
        snprintf(why, DV_WITNESS_WHY_MAX, "it answers 409 without a size");
        return false;
    }
    *size = remembered;
    if (remembered > question->checkpoint->size) {
        *state = DV_WITNESS_AHEAD;
        snprintf(why, DV_WITNESS_WHY_MAX,
                 "it saw %" PRIu64 " entries, but the log has %" PRIu64 ": it was taken back",
                 remembered, question->checkpoint->size);
        return false;
    }
    return true;
}

static dv_witness_state judge(const dv_witness_question *question, const reply *in, dv_buf *lines,
                              uint64_t *size, char why[DV_WITNESS_WHY_MAX])
{
    if (in->status != DV_WITNESS_COSIGNED) {
        return of_status(in, why);
    }
    if (take_lines(question, dv_buf_slice(&in->body), lines) != DV_OK) {
        snprintf(why, DV_WITNESS_WHY_MAX, "its answer is not signed by the key that is configured");
        return DV_WITNESS_REFUSES;
    }
    *size = question->checkpoint->size;
    return DV_WITNESS_OK;
}

dv_witness_state dv_witness_ask(const dv_witness_question *question, uint64_t *size, dv_buf *lines,
                                char why[DV_WITNESS_WHY_MAX])
{
    dv_witness_state state = DV_WITNESS_UNAVAILABLE;
    dv_auto(buf) dv_buf body = dv_buf_init(DV_WITNESS_REQUEST_MAX);
    reply in = {0, dv_buf_init(ANSWER_MAX)};
    why[0] = '\0';
    if (*size > question->checkpoint->size) {
        *size = 0; /* it told us more than there is: let it tell again */
    }
    for (int i = 0; i < TRIES; i++) {
        if (make_body(question, *size, &body) != DV_OK) {
            snprintf(why, DV_WITNESS_WHY_MAX, "the log's tiles give no proof from %" PRIu64, *size);
            break;
        }
        if (post(question, dv_buf_slice(&body), &in, why) != DV_OK) {
            break;
        }
        state = DV_WITNESS_UNAVAILABLE;
        if (other_size(question, &in, size, &state, why)) {
            continue;
        }
        if (in.status != DV_WITNESS_OTHER_SIZE) {
            state = judge(question, &in, lines, size, why);
        }
        break;
    }
    dv_buf_release(&in.body);
    return state;
}
