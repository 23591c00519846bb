/* SPDX-License-Identifier: Apache-2.0 */
/* Reads questions, one a line: "encrypt|decrypt RADIX KEY TWEAK DIGITS" with key and tweak in
 * hexadecimal ("-" is empty) and digits as numbers with commas between. Answers each with a line:
 * digits, or "refuse". */
#include "lines.h"

#include "crypto/ff1.h"

enum { WORDS = 5 };

static uint32_t number_of(dv_slice word)
{
    uint32_t number = 0;
    for (size_t i = 0; i < word.len; i++) {
        number = number * 10 + (uint32_t)(word.ptr[i] - '0');
    }
    return number;
}

static dv_result cipher(const dv_slice *words, uint16_t *digits, size_t *ret_len)
{
    dv_auto(buf) dv_buf key = dv_buf_init(4096);
    dv_auto(buf) dv_buf tweak = dv_buf_init(4096);
    dv_auto(ff1) dv_ff1 *ff1 = NULL;
    dv_slice rest = dv_slice_eq_str(words[4], "-") ? (dv_slice){NULL, 0} : words[4];
    dv_slice word;
    size_t len = 0;
    DV_TRY(bytes_of(words[2], &key));
    DV_TRY(bytes_of(words[3], &tweak));
    while (len < DV_FF1_DIGITS_MAX && dv_slice_split(&rest, ',', &word)) {
        digits[len++] = (uint16_t)number_of(word);
    }
    DV_TRY(dv_ff1_new(dv_buf_slice(&key), number_of(words[1]), &ff1));
    *ret_len = len;
    return dv_slice_eq_str(words[0], "encrypt")
               ? dv_ff1_encrypt(ff1, dv_buf_slice(&tweak), digits, len, digits)
               : dv_ff1_decrypt(ff1, dv_buf_slice(&tweak), digits, len, digits);
}

static void answer(dv_slice line)
{
    uint16_t digits[DV_FF1_DIGITS_MAX];
    dv_slice words[WORDS] = {{NULL, 0}};
    size_t count = 0, len = 0;
    while (count < WORDS && dv_slice_split(&line, ' ', &words[count])) {
        count++;
    }
    if (count < WORDS || cipher(words, digits, &len) != DV_OK) {
        printf("refuse\n");
        return;
    }
    for (size_t i = 0; i < len; i++) {
        printf("%s%u", i == 0 ? "" : ",", (unsigned)digits[i]);
    }
    printf("\n");
}

int main(void)
{
    return answer_lines(answer);
}
