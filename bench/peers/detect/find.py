# SPDX-License-Identifier: Apache-2.0
"""Finds personal data with another tool. Usage: find.py presidio|datafog <TEXTS >FINDINGS

A JSON string a line in, a JSON array of [type, first character, one past the last] a line out; the last line is the
processor seconds that the texts took, without what loading takes.

No model for names is in the package registry, so presidio looks with its pattern recognizers alone: less work than with
its default model.
"""
import json
import sys
import time


def presidio():
    import spacy
    import tldextract
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())  # its own list: nothing is fetched

    class Blank(SpacyNlpEngine):
        def __init__(self):
            super().__init__()
            self.nlp = {"en": spacy.blank("en")}

        def load(self):
            pass

    engine = AnalyzerEngine(nlp_engine=Blank(), supported_languages=["en"])
    engine.registry.remove_recognizer("SpacyRecognizer")
    return lambda text: [(one.entity_type, one.start, one.end) for one in engine.analyze(text=text, language="en")]


def datafog():
    from datafog.engine import scan

    return lambda text: [(one.type, one.start, one.end) for one in scan(text, engine="regex").entities]


def main():
    find = {"presidio": presidio, "datafog": datafog}[sys.argv[1]]()
    texts = [json.loads(line) for line in sys.stdin]
    find(texts[0])  # compiles its expressions
    begin = time.process_time()
    found = [find(text) for text in texts]
    seconds = time.process_time() - begin
    for one in found:
        print(json.dumps(one))
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
