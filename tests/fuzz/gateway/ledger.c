/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the spool as dvara-logd does and keeps what one input left there. Segments that were read
 * are removed, so that a long run needs no space. */
#include "fuzz/gateway/gate.h"

#include "base/caps.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/uuid.h"
#include "core/event_code.h"
#include "engine/log/segment.h"
#include "engine/log/spool.h"

#include <dirent.h>
#include <unistd.h>

enum { ENTRIES_MAX = 4096 };

typedef struct entry {
    char id[DV_UUID_TEXT_LEN];
    bool opened;
    bool allowed;
    bool closed;
} entry;

static dv_log_keys keys;
static dv_segment *segment;
static char segment_path[1024];
static entry entries[ENTRIES_MAX];
static size_t entry_count;

static void read_key(const char *name, uint8_t out[32])
{
    char path[1024];
    dv_error error = {0};
    dv_auto(buf) dv_buf text = dv_buf_init(1024);
    (void)snprintf(path, sizeof(path), "%s/%s", gate.runtime, name);
    if (dv_file_read(path, &text, &error) != DV_OK ||
        dv_hex_decode(dv_buf_slice(&text), out, 32) != DV_OK) {
        gate_fail("%s: %s", path, error.message);
    }
}

void ledger_open(void)
{
    read_key(DV_LOG_KEY_FILE, keys.public_key);
    read_key("log.secret", keys.secret_key);
}

/* There is one at a time, and a finished one is removed before the next is looked for. */
static bool open_next(void)
{
    struct dirent **names = NULL;
    dv_error error = {0};
    char folder[768];
    (void)snprintf(folder, sizeof(folder), "%s/gateway", gate.spool);
    int count = scandir(folder, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (segment == NULL &&
            dv_slice_ends_with(dv_slice_str(names[i]->d_name), DV_LIT(DV_SEGMENT_SUFFIX))) {
            (void)snprintf(segment_path, sizeof(segment_path), "%s/%s", folder, names[i]->d_name);
            if (dv_segment_open(segment_path, &keys, &segment, &error) != DV_OK) {
                gate_fail("%s: %s", segment_path, error.message);
            }
        }
        free(names[i]);
    }
    free(names);
    return segment != NULL;
}

/* The text behind a prefix, up to the next quote. */
static dv_slice text_after(dv_slice record, dv_slice prefix)
{
    ptrdiff_t at = dv_slice_find(record, prefix);
    if (at < 0) {
        return DV_LIT("");
    }
    dv_slice rest = dv_slice_sub(record, (size_t)at + prefix.len, record.len);
    ptrdiff_t end = dv_slice_find_byte(rest, '"');
    return dv_slice_sub(rest, 0, end < 0 ? 0 : (size_t)end);
}

static entry *find(dv_slice id, bool make)
{
    for (size_t i = entry_count; i > 0; i--) {
        if (dv_slice_eq(dv_slice_of(entries[i - 1].id, DV_UUID_TEXT_LEN), id)) {
            return &entries[i - 1];
        }
    }
    if (!make) {
        return NULL;
    }
    if (id.len != DV_UUID_TEXT_LEN || entry_count == ENTRIES_MAX) {
        gate_fail("a record has no request id, or there are too many");
    }
    entry *made = &entries[entry_count++];
    *made = (entry){.opened = false};
    memcpy(made->id, id.ptr, id.len);
    return made;
}

static void note(dv_slice record)
{
    entry *found = find(text_after(record, DV_LIT("\"request\":{\"uid\":\"")), true);
    dv_slice phase = text_after(record, DV_LIT("\"phase\":\""));
    if (dv_slice_eq_str(phase, "open") && !found->opened && !found->closed) {
        found->opened = true;
        found->allowed = dv_slice_find(record, DV_LIT("\"disposition_id\":1,")) >= 0 &&
                         dv_slice_find(record, DV_LIT("\"user\":{\"name\":\"alice\"")) >= 0;
    } else if (dv_slice_eq_str(phase, "close") && found->opened && !found->closed) {
        found->closed = true;
    } else {
        gate_fail("a wrong or second record: %.*s", DV_SLICE_ARGS(record));
    }
}

static void note_record(dv_slice record)
{
    dv_auto(buf) dv_buf room = dv_buf_init(DV_LIMIT_RECORD);
    dv_error error = {0};
    dv_slice event = {0};
    if (dv_event_code_text(record, &room, NULL, &event, &error) != DV_OK) {
        gate_fail("a record can not be read: %s", error.message);
    }
    dv_slice kind = text_after(event, DV_LIT("\"event_code\":\""));
    if (dv_slice_starts_with(kind, DV_LIT("request."))) { /* else: of no request, or beside it */
        note(event);
    }
}

static void read_records(void)
{
    dv_error error = {0};
    while (segment != NULL || open_next()) {
        dv_segment_record record;
        dv_result result = dv_segment_next(segment, &record, &error);
        if (result == DV_ERR_AGAIN) {
            return;
        }
        if (result == DV_OK) {
            note_record(record.text);
            continue;
        }
        if (result != DV_ERR_NOT_FOUND) {
            gate_fail("the spool can not be read: %s", error.message);
        }
        dv_segment_close(segment);
        segment = NULL;
        (void)unlink(segment_path);
    }
}

void ledger_expect_open(dv_slice request_id)
{
    read_records();
    const entry *found = find(request_id, false);
    if (found == NULL || !found->opened || !found->allowed) {
        gate_fail("a request that was not admitted reached the model server: %.*s",
                  DV_SLICE_ARGS(request_id));
    }
}

void ledger_check(void)
{
    read_records();
    for (size_t i = 0; i < entry_count; i++) {
        if (!entries[i].opened || !entries[i].closed) {
            gate_fail("no close record of %.*s", DV_UUID_TEXT_LEN, entries[i].id);
        }
    }
    entry_count = 0;
}
