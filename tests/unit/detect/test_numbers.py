#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check digits: python-stdnum (Debian: python3-stdnum) says which numbers are right, detect_check which are
found. For each kind numbers that stdnum accepts, and the same with one digit changed.

Usage: test_numbers.py DETECT_CHECK
"""
import importlib
import json
import random
import subprocess
import sys

sys.path.append("/usr/lib/python3/dist-packages")

# detector: (a word that speaks of it, stdnum's module, a right number)
KINDS = {
    "aadhaar": ("aadhaar", "in_.aadhaar", "234123412346"),
    "at_social": ("svnr", "at.vnr", "1237010180"),
    "au_abn": ("abn", "au.abn", "83914571673"),
    "au_tfn": ("tfn", "au.tfn", "123456782"),
    "ar_cuit": ("cuit", "ar.cuit", "20055361682"),
    "be_national": ("insz", "be.nn", "85073003328"),
    "bg_egn": ("egn", "bg.egn", "7523169263"),
    "br_cnpj": ("cnpj", "br.cnpj", "16727230000197"),
    "br_cpf": ("cpf", "br.cpf", "39053344705"),
    "ca_sin": ("sin", "ca.sin", "123456782"),
    "ch_ahv": ("ahv", "ch.ssn", "7569217076985"),
    "cl_rut": ("rut", "cl.rut", "125319092"),
    "cn_resident": ("id card", "cn.ric", "360426199101010071"),
    "cz_birth": ("birth number", "cz.rc", "7103192745"),
    "de_tax_id": ("steuerid", "de.idnr", "36574261809"),
    "ee_lt_personal": ("isikukood", "ee.ik", "36805280109"),
    "emso": ("emso", "si.emso", "0101006500006"),
    "es_nif": ("dni", "es.dni", "54362315K"),
    "fr_nir": ("nir", "fr.nir", "295109912611193"),
    "fr_siret": ("siren", "fr.siren", "552008443"),
    "gr_amka": ("amka", "gr.amka", "01013099997"),
    "gstin": ("gstin", "in_.gstin", "27AAPFU0939F1ZV"),
    "hr_oib": ("oib", "hr.oib", "33392005961"),
    "iban": ("iban", "iban", "GB29NWBK60161331926819"),
    "ie_pps": ("pps", "ie.pps", "6433435F"),
    "imei": ("imei", "imei", "490154203237518"),
    "in_voter_id": ("voter", "in_.epic", "WKH1186253"),
    "it_fiscal_code": ("codice", "it.codicefiscale", "RCCMNL83S18D969H"),
    "it_vat": ("partita", "it.iva", "00743110157"),
    "kr_resident": ("rrn", "kr.rrn", "9710131019901"),
    "nl_bsn": ("bsn", "nl.bsn", "111222333"),
    "no_birth": ("fnr", "no.fodselsnummer", "15108695088"),
    "payment_card": ("card", "luhn", "4111111111111111"),
    "pl_nip": ("nip", "pl.nip", "8567346215"),
    "pl_pesel": ("pesel", "pl.pesel", "44051401359"),
    "pt_nif": ("nif", "pt.nif", "501964843"),
    "ro_cnp": ("cnp", "ro.cnp", "1630615123457"),
    "se_personal": ("pnr", "se.personnummer", "8803200016"),
    "tr_identity": ("kimlik", "tr.tckimlik", "17291716060"),
    "uk_nhs": ("nhs", "gb.nhs", "9434765919"),
    "uk_utr": ("utr", "gb.utr", "1955839661"),
    "us_bank_routing": ("routing", "us.rtn", "111000025"),
    "za_identity": ("id number", "za.idnr", "7503305044089"),
}

# Ours asks for more than stdnum: for a day that may be, a century that anybody alive was born in, a district.
STRICTER = {"at_social", "kr_resident", "us_bank_routing"}


def changed(number, rnd):
    """The number with one digit, not the first, another."""
    places = [i for i, c in enumerate(number) if c.isdigit() and i > 0]
    at = rnd.choice(places)
    return number[:at] + rnd.choice([d for d in "0123456789" if d != number[at]]) + number[at + 1:]


def main(program):
    rnd = random.Random(1)
    asked = []
    for kind, (word, name, right) in KINDS.items():
        module = importlib.import_module(f"stdnum.{name}")
        assert module.is_valid(right), f"stdnum refuses {kind}"
        twice = (changed(changed(right, rnd), rnd) for _ in range(150))
        for number in {right, *(changed(right, rnd) for _ in range(30)), *filter(module.is_valid, twice)}:
            asked.append((kind, f"{word} {number}", number, module.is_valid(number)))
    lines = "".join(json.dumps(text) + "\n" for _, text, _, _ in asked)
    answer = subprocess.run([program], input=lines, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(answer) == len(asked), f"{len(answer)} answers to {len(asked)} texts"
    wrong = []
    for (kind, text, _, valid), line in zip(asked, answer):
        found = kind in {item.split(":")[0] for item in line.split()}
        if found != valid and not (valid and kind in STRICTER):
            wrong.append(f"{kind}: {text!r} is {'right' if valid else 'wrong'}, found: {line}")
    print(f"{len(asked)} numbers of {len(KINDS)} kinds, {sum(valid for *_, valid in asked)} of them right")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main(sys.argv[1])
