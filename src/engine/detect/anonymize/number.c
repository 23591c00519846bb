/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/anonymize/number.h"

#include "engine/detect/action/shape.h"

#include <math.h>
#include <stdlib.h>

bool dv_number_read(dv_slice text, double *ret_number)
{
    char copy[64], *end = NULL;
    text = dv_slice_trim(text);
    if (text.len == 0 || text.len >= sizeof(copy)) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) { /* no hexadecimal, "inf" or "nan" */
        if (!dv_is_digit(text.ptr[i]) && memchr("+-.eE", text.ptr[i], 5) == NULL) {
            return false;
        }
    }
    if (!dv_is_digit(text.ptr[0]) && text.ptr[0] != '-') {
        return false;
    }
    dv_slice_copy(text, copy, sizeof(copy));
    double number = strtod(copy, &end);
    if (*end != '\0' || !isfinite(number)) {
        return false;
    }
    *ret_number = number;
    return true;
}
