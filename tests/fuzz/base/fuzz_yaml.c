/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes; what is accepted is walked and read as every type. */
#include "base/yaml.h"

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void read_value(const dv_yaml *node)
{
    static const char *const known[] = {"listen", "upstream", "workers", NULL};
    dv_error error;
    const char *text;
    int64_t number;
    uint64_t size;
    bool flag;
    bool is_text = dv_yaml_string(node, &text, &error) == DV_OK;
    require(is_text == (node->type == DV_YAML_SCALAR));
    require(!is_text || text != NULL);
    if (dv_yaml_int(node, -5, 5, &number, &error) == DV_OK) {
        require(number >= -5 && number <= 5);
    }
    if (dv_yaml_size(node, 4096, &size, &error) == DV_OK) {
        require(size <= 4096);
    }
    require(dv_yaml_bool(node, &flag, &error) != DV_OK || !node->quoted);
    require(dv_yaml_duration(node, &number, &error) != DV_OK || number >= 0);
    require(dv_yaml_check_keys(node, known, &error) != DV_OK || node->type == DV_YAML_MAP);
}

static void walk(const dv_yaml *node, int depth)
{
    require(depth <= 64 && node->line > 0 && node->column > 0);
    read_value(node);
    for (const dv_yaml *child = node->first; child != NULL; child = child->next) {
        require((child->key != NULL) == (node->type == DV_YAML_MAP));
        if (child->key != NULL) {
            require(dv_yaml_get(node, child->key) == child);
        }
        walk(child, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 20);
    require(arena != NULL);
    const dv_yaml *root = NULL;
    dv_error error = {0};
    dv_result result = dv_yaml_parse(dv_slice_of(data, size), arena, &root, &error);
    require(result == error.result && (result == DV_OK) == (root != NULL));
    if (root != NULL) {
        walk(root, 0);
    }
    return 0;
}
