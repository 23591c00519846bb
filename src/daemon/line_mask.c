/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/line_mask.h"

#include "base/address.h"
#include "base/utf8.h"
#include "daemon/line_marks.h"
#include "engine/detect/detect.h"
#include "engine/detect/encoded.h"

#include <ctype.h>
#include <stdlib.h>

enum {
    ROUNDS = 6,       /* what replacing a value laid bare is looked for again */
    OWN_MAX = 512,    /* addresses of the installation */
    HURRY = 50000000, /* nanoseconds that a line may take */
    ARENA = 8 << 20,
    KNOWN_MAX = 1 << 20
};

const char *const dv_line_mask_left_out[] = {
    "dvara_key",       /* line_marks.h: its id stays */
    "aadhaar",         /* every tenth number of twelve digits */
    "aadhaar_vid",     /* of sixteen */
    "us_bank_routing", /* numbers in a ratio, as of bytes */
    NULL,
};

struct dv_line_mask {
    dv_detect_rules *rules;
    dv_detect_scratch *scratch;
    dv_arena *arena;
    dv_arena *work;
    dv_detector_set enabled;
    dv_detector_set address; /* that of IP addresses alone */
    dv_detector_set account; /* that of IBANs alone */
    dv_address own[OWN_MAX];
    size_t own_count;
};

void dv_line_mask_free(dv_line_mask *mask)
{
    if (mask != NULL) {
        dv_detect_scratch_free(mask->scratch);
        dv_detect_rules_free(mask->rules);
        dv_arena_free(mask->arena);
        dv_arena_free(mask->work);
        free(mask);
    }
}

static void take_one(dv_detector_set *set, const char *id)
{
    ptrdiff_t index = dv_detect_index(id);
    if (index >= 0) {
        dv_detector_set_add(set, (size_t)index);
    }
}

static void choose_detectors(dv_line_mask *mask)
{
    mask->enabled = *dv_detect_standard();
    for (size_t i = 0; dv_line_mask_left_out[i] != NULL; i++) {
        ptrdiff_t index = dv_detect_index(dv_line_mask_left_out[i]);
        if (index >= 0) {
            dv_detector_set_remove(&mask->enabled, (size_t)index);
        }
    }
    take_one(&mask->address, "ip_address");
    take_one(&mask->account, "iban");
}

dv_result dv_line_mask_new(dv_line_mask **ret_mask, dv_error *error)
{
    dv_auto(line_mask) dv_line_mask *mask = calloc(1, sizeof *mask);
    if (mask == NULL) {
        return dv_error_set(error, DV_ERR_NO_MEMORY, "no memory for the detectors");
    }
    mask->arena = dv_arena_new(ARENA);
    mask->work = dv_arena_new(ARENA);
    if (mask->arena == NULL || mask->work == NULL) {
        return dv_error_set(error, DV_ERR_NO_MEMORY, "no memory for the detectors");
    }
    DV_TRY(dv_detect_rules_builtin(&mask->rules, error));
    if (dv_detect_scratch_new(mask->rules, &mask->scratch) != DV_OK) {
        return dv_error_set(error, DV_ERR_NO_MEMORY, "no memory for the detectors");
    }
    choose_detectors(mask);
    *ret_mask = mask;
    mask = NULL;
    return DV_OK;
}

/* ---- Addresses of our own ---- */

dv_result dv_line_mask_know(dv_line_mask *mask, dv_slice text)
{
    const dv_finding *found = NULL;
    size_t count = 0;
    mask->own_count = 0;
    if (text.len > KNOWN_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    dv_arena_recycle(mask->arena);
    dv_detect_scratch_hurry(mask->scratch, 0);
    DV_TRY(dv_detect_scan(mask->rules, mask->scratch, text, 0, &mask->address, mask->arena, &found,
                          &count));
    for (size_t i = 0; i < count && mask->own_count < OWN_MAX; i++) {
        dv_slice value = dv_slice_sub(text, found[i].start, found[i].end - found[i].start);
        if (dv_address_parse(value, &mask->own[mask->own_count]) == DV_OK) {
            mask->own_count++;
        }
    }
    return DV_OK;
}

static bool is_own(const dv_line_mask *mask, dv_slice text, const dv_finding *finding)
{
    dv_address address;
    dv_slice value = dv_slice_sub(text, finding->start, finding->end - finding->start);
    if (finding->encoded || !dv_detector_set_holds(&mask->address, &finding->detectors) ||
        dv_address_parse(value, &address) != DV_OK) {
        return false;
    }
    for (size_t i = 0; i < mask->own_count; i++) {
        if (memcmp(&mask->own[i], &address, sizeof address) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether a UUID (RFC 9562 section 4) stands at `at`. */
static bool is_uuid(dv_slice text, size_t at)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    dv_slice part = dv_slice_sub(text, at, sizeof shape - 1);
    if (part.len < sizeof shape - 1) {
        return false;
    }
    for (size_t i = 0; i < part.len; i++) {
        bool good = shape[i] == '-' ? part.ptr[i] == '-' : isxdigit(part.ptr[i]) != 0;
        if (!good) {
            return false;
        }
    }
    return true;
}

/* What begins in the middle of a request's id is no IBAN. */
static bool is_in_id(const dv_line_mask *mask, dv_slice text, const dv_finding *finding)
{
    if (finding->encoded || !dv_detector_set_holds(&mask->account, &finding->detectors)) {
        return false;
    }
    for (size_t back = 1; back < 36 && back <= finding->start; back++) {
        if (is_uuid(text, finding->start - back)) {
            return true;
        }
    }
    return false;
}

static bool stays(const dv_line_mask *mask, dv_slice text, const dv_finding *finding)
{
    return is_own(mask, text, finding) || is_in_id(mask, text, finding);
}

/* ---- One line ---- */

/* U+0080 to U+009F, which terminals obey as they do those below ' '. */
static bool is_high_control(dv_slice text, size_t at)
{
    return at + 1 < text.len && text.ptr[at] == 0xc2 && text.ptr[at + 1] < 0xa0;
}

static dv_result append_plain(dv_slice line, dv_buf *out)
{
    while (line.len > 0) {
        size_t good = dv_utf8_prefix(line);
        for (size_t i = 0; i < good; i++) {
            uint8_t byte = line.ptr[i];
            bool high = is_high_control(dv_slice_sub(line, 0, good), i);
            bool control = (byte < ' ' && byte != '\t') || byte == 0x7f || high;
            i += high ? 1 : 0;
            DV_TRY(dv_buf_append_byte(out, control ? '?' : byte));
        }
        if (good < line.len) {
            DV_TRY(dv_buf_append_byte(out, '?'));
            good++;
        }
        line = dv_slice_sub(line, good, line.len);
    }
    return DV_OK;
}

static dv_result find(dv_line_mask *mask, dv_slice text, bool more, const dv_finding **ret_found,
                      size_t *ret_count, size_t *ret_hold)
{
    const dv_encoded job = {.rules = mask->rules,
                            .scratch = mask->scratch,
                            .enabled = &mask->enabled,
                            .arena = mask->arena,
                            .work = mask->work,
                            .more = more};
    size_t hold = text.len;
    dv_arena_recycle(mask->arena);
    DV_TRY(dv_detect_scan(mask->rules, mask->scratch, text, 0, &mask->enabled, mask->arena,
                          ret_found, ret_count));
    if (more) {
        DV_TRY(dv_detect_hold(mask->rules, mask->scratch, text, 0, &mask->enabled, *ret_found,
                              *ret_count, &hold));
    }
    dv_result result = dv_encoded_find(&job, text, 0, ret_found, ret_count, &hold);
    dv_arena_recycle(mask->work);
    *ret_hold = DV_MIN(hold, text.len);
    return result;
}

/* "[email]"; one word for all that opens something. */
static dv_result append_label(const char *detector, dv_buf *out)
{
    ptrdiff_t index = dv_detect_index(detector);
    const dv_detector_info *info = index < 0 ? NULL : dv_detect_info((size_t)index);
    if (info == NULL || strcmp(info->category, "credential") == 0) {
        return dv_buf_append_str(out, "[secret]");
    }
    DV_TRY(dv_buf_append_byte(out, '['));
    for (const char *letter = info->label; *letter != '\0'; letter++) {
        DV_TRY(dv_buf_append_byte(out, (uint8_t)tolower((unsigned char)*letter)));
    }
    return dv_buf_append_byte(out, ']');
}

/* One look at the text for values; what is found is replaced. */
static dv_result replace_values(dv_line_mask *mask, dv_slice text, dv_buf *out)
{
    const dv_finding *found = NULL;
    size_t count = 0, at = 0, hold = 0;
    DV_TRY(find(mask, text, false, &found, &count, &hold));
    for (size_t i = 0; i < count; i++) {
        if (!stays(mask, text, &found[i])) {
            DV_TRY(dv_buf_append(out, dv_slice_sub(text, at, found[i].start - at)));
            DV_TRY(append_label(found[i].detector, out));
            at = found[i].end;
        }
    }
    return dv_buf_append(out, dv_slice_sub(text, at, text.len));
}

/* One look at the text for all; *ret_clean: there was nothing to hide. */
static dv_result look(dv_line_mask *mask, dv_buf *text, bool *ret_clean)
{
    dv_auto(buf) dv_buf marked = dv_buf_init(DV_LINE_MASKED_MAX);
    dv_auto(buf) dv_buf next = dv_buf_init(DV_LINE_MASKED_MAX);
    DV_TRY(dv_line_marks(dv_buf_slice(text), &marked));
    DV_TRY(replace_values(mask, dv_buf_slice(&marked), &next));
    *ret_clean = dv_slice_eq(dv_buf_slice(&next), dv_buf_slice(text));
    dv_buf last = *text;
    *text = next;
    next = last;
    return DV_OK;
}

/* The part of a line that was cut which no value can reach over the cut. */
static dv_result without_end(dv_line_mask *mask, dv_buf *text)
{
    const dv_finding *found = NULL;
    size_t count = 0, hold = 0;
    DV_TRY(find(mask, dv_buf_slice(text), true, &found, &count, &hold));
    text->len = hold;
    return dv_buf_append_str(text, " [cut]");
}

dv_result dv_line_mask_run(dv_line_mask *mask, dv_slice line, bool cut, dv_buf *out)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LINE_MASKED_MAX);
    bool clean = false;
    if (line.len > DV_LINE_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    dv_detect_scratch_hurry(mask->scratch, HURRY);
    DV_TRY(append_plain(line, &text));
    if (cut) {
        DV_TRY(without_end(mask, &text));
    }
    for (int round = 0; round < ROUNDS && !clean; round++) {
        DV_TRY(look(mask, &text, &clean));
    }
    return clean ? dv_buf_append(out, dv_buf_slice(&text)) : DV_ERR_TOO_LARGE;
}

dv_result dv_line_mask_text(dv_line_mask *mask, dv_slice text, dv_buf *out, size_t *withheld)
{
    dv_slice line;
    while (dv_slice_split(&text, '\n', &line)) {
        dv_slice head = dv_slice_sub(line, 0, DV_LINE_MAX);
        if (text.ptr == NULL && line.len == 0) {
            break; /* behind the last '\n' */
        }
        dv_result result = dv_line_mask_run(mask, head, head.len < line.len, out);
        if (result != DV_OK) {
            (*withheld)++;
            DV_TRY(dv_buf_append_str(out, "[line withheld]"));
        }
        DV_TRY(dv_buf_append_byte(out, '\n'));
    }
    return DV_OK;
}
