/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as policies in JSON. What is refused says why; what is read is written, read again and
 * then written the same, and as text where its ids can stand there. */
#include "base/caps.h"
#include "engine/cedar/formats.h"

enum { OUT_MAX = 16 << 20 };

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_again(const dv_cedar_policy_set *set)
{
    dv_auto(cedar_policy_set) dv_cedar_policy_set *again = NULL;
    dv_auto(buf) dv_buf first = dv_buf_init(OUT_MAX), second = dv_buf_init(OUT_MAX);

    require(dv_cedar_json_write(set, &first) == DV_OK);
    require(dv_cedar_json_parse(dv_buf_slice(&first), &again, NULL) == DV_OK);
    require(dv_cedar_policy_count(again) == dv_cedar_policy_count(set));
    require(dv_cedar_template_count(again) == dv_cedar_template_count(set));
    require(dv_cedar_json_write(again, &second) == DV_OK);
    require(dv_slice_eq(dv_buf_slice(&first), dv_buf_slice(&second)));
}

/* Text has other limits: an @id annotation names the policy, and paths lie within 4 KiB. */
static void check_text(const dv_cedar_policy_set *set)
{
    dv_auto(cedar_policy_set) dv_cedar_policy_set *again = NULL;
    dv_auto(buf) dv_buf text = dv_buf_init(OUT_MAX), second = dv_buf_init(OUT_MAX);
    dv_error error = {0};

    require(dv_cedar_text_write(set, &text) == DV_OK);
    if (dv_cedar_parse(dv_buf_slice(&text), &again, &error) != DV_OK) {
        require(strstr(error.message, "the id") != NULL || strstr(error.message, "an id") != NULL ||
                strstr(error.message, "shorter") != NULL);
        return;
    }
    require(dv_cedar_text_write(again, &second) == DV_OK);
    require(dv_slice_eq(dv_buf_slice(&text), dv_buf_slice(&second)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    dv_error error = {0};
    dv_result result = dv_cedar_json_parse(dv_slice_of(data, size), &set, &error);

    require(result == error.result && (result == DV_OK) == (set != NULL));
    if (result != DV_OK) {
        require(error.message[0] != '\0');
        return 0;
    }
    check_again(set);
    check_text(set);
    return 0;
}
