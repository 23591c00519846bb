/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as CSV, in pieces of a size that the first one says. What is read and written again
 * reads as the same fields. */
#include "../pieces.h"

#include "base/csv.h"

static void check_again(const dv_csv_record *record)
{
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 26);
    dv_auto(csv) dv_csv *again = NULL;
    dv_csv_record copy;
    for (size_t i = 0; i < record->count; i++) {
        require(i == 0 || dv_buf_append_byte(&text, ',') == DV_OK);
        require(dv_csv_append(&text, record->fields[i].text, ',', true) == DV_OK);
    }
    require(dv_buf_append_byte(&text, '\n') == DV_OK);
    text_source from = {dv_buf_slice(&text), SIZE_MAX};
    const dv_csv_source source = {get_piece, &from};
    require(dv_csv_new(&source, ',', &again) == DV_OK);
    require(dv_csv_next(again, &copy, NULL) == DV_OK && copy.count == record->count);
    for (size_t i = 0; i < copy.count; i++) {
        require(dv_slice_eq(copy.fields[i].text, record->fields[i].text));
    }
    require(dv_csv_next(again, &copy, NULL) == DV_ERR_NOT_FOUND);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    text_source from = {dv_slice_of(data + 2, size - 2), (size_t)data[0] + 1};
    const dv_csv_source source = {get_piece, &from};
    dv_auto(csv) dv_csv *csv = NULL;
    dv_csv_record record;
    dv_error error = {0};
    dv_result result;
    uint64_t end = 0;
    require(dv_csv_new(&source, (data[1] & 1) != 0 ? ',' : '\0', &csv) == DV_OK);
    while ((result = dv_csv_next(csv, &record, &error)) == DV_OK) {
        require(record.count >= 1 && record.offset >= end && record.offset < size);
        end = record.offset + 1;
        check_again(&record);
    }
    require(result == DV_ERR_NOT_FOUND || result == DV_ERR_INVALID || result == DV_ERR_TOO_LARGE);
    require(result == DV_ERR_NOT_FOUND || error.message[0] != '\0');
    return 0;
}
