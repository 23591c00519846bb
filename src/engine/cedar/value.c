/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cedar/value.h"

static int compare_numbers(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_sets(const dv_cedar_value *a, const dv_cedar_value *b)
{
    for (uint32_t i = 0; i < a->count && i < b->count; i++) {
        int order = dv_cedar_compare(&a->items[i], &b->items[i]);
        if (order != 0) {
            return order;
        }
    }
    return compare_numbers(a->count, b->count);
}

static int compare_records(const dv_cedar_value *a, const dv_cedar_value *b)
{
    for (uint32_t i = 0; i < a->count && i < b->count; i++) {
        int order = dv_slice_cmp(a->attrs[i].name, b->attrs[i].name);
        if (order == 0) {
            order = dv_cedar_compare(&a->attrs[i].value, &b->attrs[i].value);
        }
        if (order != 0) {
            return order;
        }
    }
    return compare_numbers(a->count, b->count);
}

static int compare_ips(const dv_cedar_ip *a, const dv_cedar_ip *b)
{
    int order = compare_numbers(a->v6, b->v6);

    if (order == 0) {
        order = memcmp(a->bytes, b->bytes, sizeof(a->bytes));
    }
    return order != 0 ? order : compare_numbers(a->prefix, b->prefix);
}

int dv_cedar_compare(const dv_cedar_value *a, const dv_cedar_value *b)
{
    if (a->type != b->type) {
        return compare_numbers(a->type, b->type);
    }
    switch (a->type) {
    case DV_CEDAR_BOOL:
        return compare_numbers(a->boolean, b->boolean);
    case DV_CEDAR_STRING:
    case DV_CEDAR_ENTITY:
        return dv_slice_cmp(a->text, b->text);
    case DV_CEDAR_SET:
        return compare_sets(a, b);
    case DV_CEDAR_RECORD:
        return compare_records(a, b);
    case DV_CEDAR_IPADDR:
        return compare_ips(&a->ip, &b->ip);
    case DV_CEDAR_LONG:
    case DV_CEDAR_DECIMAL:
    case DV_CEDAR_DATETIME:
    case DV_CEDAR_DURATION:
        break;
    }
    return compare_numbers(a->number, b->number);
}

static int order_values(const void *a, const void *b)
{
    return dv_cedar_compare(a, b);
}

dv_cedar_value dv_cedar_set(dv_cedar_value *items, size_t count)
{
    size_t kept = 0;

    if (count > 1) {
        qsort(items, count, sizeof(*items), order_values);
    }
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || dv_cedar_compare(&items[kept - 1], &items[i]) != 0) {
            items[kept++] = items[i];
        }
    }
    return (dv_cedar_value){.type = DV_CEDAR_SET, .count = (uint32_t)kept, .items = items};
}

static int order_attrs(const void *a, const void *b)
{
    return dv_slice_cmp(((const dv_cedar_attr *)a)->name, ((const dv_cedar_attr *)b)->name);
}

dv_result dv_cedar_record(dv_cedar_attr *attrs, size_t count, dv_cedar_value *ret_value)
{
    if (count > 1) {
        qsort(attrs, count, sizeof(*attrs), order_attrs);
    }
    for (size_t i = 1; i < count; i++) {
        if (dv_slice_eq(attrs[i - 1].name, attrs[i].name)) {
            return DV_ERR_INVALID;
        }
    }
    *ret_value =
        (dv_cedar_value){.type = DV_CEDAR_RECORD, .count = (uint32_t)count, .attrs = attrs};
    return DV_OK;
}

const dv_cedar_value *dv_cedar_get(const dv_cedar_value *record, dv_slice name)
{
    if (record == NULL || record->type != DV_CEDAR_RECORD) {
        return NULL;
    }
    uint32_t low = 0, high = record->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = dv_slice_cmp(record->attrs[middle].name, name);
        if (order == 0) {
            return &record->attrs[middle].value;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}
