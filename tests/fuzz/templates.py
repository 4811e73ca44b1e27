"""Any text as a template, guided by coverage (``make fuzz``): a text or a `TemplateError`, nothing else."""

import sys

import atheris

with atheris.instrument_imports(include=["occopus_core", "jinja2"]):
    from occopus_core.render import Renderer, TemplateError
    from occopus_core.template_functions import cut
    from occopus_core.template_inspection import calls_commands, named_peers

RENDER = Renderer({"variables": {"a": [1, "b"]}, "name": "n"}, {"cut": cut, "getip": str, "getipall": list}, "fuzz")


def one(data: bytes) -> None:
    text = atheris.FuzzedDataProvider(data).ConsumeUnicode(len(data))
    for template in (text, f"{{{{ {text} }}}}", f"{{% {text} %}}"):
        try:
            RENDER(template, at="fuzz")
        except TemplateError as error:
            str(error)
        list(named_peers(template))
        calls_commands(template)


atheris.Setup(sys.argv, one)
atheris.Fuzz()
