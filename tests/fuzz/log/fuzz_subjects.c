/* SPDX-License-Identifier: Apache-2.0 */
/* The files of subjects' keys. The first byte chooses: the directory's text (what a seal would
 * keep any attacker from changing), a segment's file, or the text of a sealed value. */
#include "engine/log/subjects_file.h"
#include "subjects_folder.h"

static void parse_directory(dv_slice text)
{
    dv_subject_table table = {.folder_fd = -1};
    dv_auto(buf) dv_buf again = dv_buf_init(1 << 20);
    if (dv_subject_directory_parse(text, &table) == DV_OK) {
        for (uint32_t i = 0; i < table.count; i++) {
            if (table.segments[i].stored > DV_SUBJECT_ROWS &&
                table.segments[i].stored != UINT32_MAX) {
                abort();
            }
        }
        if (dv_subject_directory_format(&table, table.segments, &again) != DV_OK ||
            again.len != text.len) {
            abort();
        }
    }
    dv_subject_table_release(&table);
}

static void parse_segment(dv_slice file)
{
    static dv_subject_row rows[DV_SUBJECT_ROWS];
    dv_subject_segment segment = {.rows = rows};
    if (dv_subject_segment_parse(0, file, &segment) != DV_OK || segment.used > DV_SUBJECT_ROWS ||
        segment.live > segment.used || segment.end > file.len) {
        abort();
    }
}

static void unseal(dv_slice text)
{
    dv_subjects *keys = subjects_of_this_run();
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20);
    dv_subjects_lock(keys);
    if (dv_subjects_unseal(keys, text, &out) == DV_OK) {
        abort(); /* under keys that were drawn just now */
    }
    dv_subjects_unlock(keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 1 << 20) {
        return 0;
    }
    dv_slice rest = dv_slice_of(data + 1, size - 1);
    switch (data[0] % 3) {
    case 0:
        parse_directory(rest);
        break;
    case 1:
        parse_segment(rest);
        break;
    default:
        unseal(rest);
    }
    return 0;
}
