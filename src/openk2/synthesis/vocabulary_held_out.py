"""The words of held-out conversations: no task, verb or parameter name of training occurs here."""

# A row of a table is one line, however long.
# ruff: noqa: E501

from openk2.synthesis import values as v
from openk2.synthesis.rows import ask, choice, do, integer, number, search, several, switch, text
from openk2.synthesis.tools import Task, Vocabulary

_KINDS = {
    "planet": text("planet|celestial body|heavenly body", "of {}|for {}", v.one_of("Mercury", "Venus", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune")),
    "observatory": text("observatory|site", "at {}|from {}", v.city),
    "night": text("night|observation night", "on {}|for the night of {}", v.date),
    "pet": text("pet|pet name|animal", "for {}|of {}", v.first_name),
    "vet": text("veterinarian|vet", "with {}|by {}", v.full_name),
    "slot": text("slot|visit time", "at {}", v.clock),
    "plant": text("plant|plant name|species", "for the {}|of the {}", v.one_of("rose", "fern", "cactus", "orchid", "basil", "tulip", "ivy", "lavender", "mint", "sage")),
    "bed": text("bed|plot|greenhouse", "in {}|for {}", v.code),
    "litres": number("litres|water amount", "with {} litres", v.decimal),
    "museum": text("museum|gallery", "at {}|in {}", v.title),
    "artwork": text("artwork|painting|piece", 'of "{}"|called {}', v.title),
    "painter": text("painter|creator", "by {}", v.full_name),
    "period": choice("period|era", "from the {} period", "baroque|gothic|modern"),
    "visitors": integer("visitors|headcount", "for {} visitors", v.small),
    "compound": text("compound|substance|molecule", "of {}|for {}", v.one_of("benzene", "ethanol", "glucose", "methane", "caffeine", "aspirin", "urea", "toluene")),
    "sample": text("specimen|probe id|vial", "in vial {}|with the probe id {}", v.code),
    "policy": text("policy|policy number|contract", "under policy {}|with policy number {}", v.code),
    "claim": text("claim|claim number|case", "for claim {}|with claim number {}", v.code),
    "damage": text("damage|incident", 'about "{}"|because {}', v.sentence_text),
    "robot": text("robot|robot id|unit id", "with robot {}|of robot {}", v.code),
    "bin": text("bin|shelf code|rack", "from bin {}|to bin {}", v.code),
    "speed": number("speed|velocity", "at a speed of {}|at {} m/s", v.decimal),
    "gripper": choice("gripper|arm", "with the {} arm", "left|right|both"),
    "meter": text("meter|meter serial|sensor", "of meter {}|for meter {}", v.code),
    "week": integer("week|calendar week", "in week {}|for week {}", lambda rng, split: rng.randint(1, 52)),
    "tariff": choice("tariff|plan", "on the {} tariff", "basic|green|night"),
    "vessel": text("vessel|ship|ship name", "of the {}|for the {}", v.title),
    "dock": text("dock|berth|quay", "at {}|in berth {}", v.code),
    "cargo": several("cargo|goods|freight", "carrying {}|loaded with {}", v.product),
    "insured": switch("insured|with cover", "with insurance|without insurance"),
    "silent": switch("silent|quiet mode", "in silent mode|not in silent mode"),
    "lender": text("lender|member|member card", "with member card {}|for member {}", v.code),
    "fabric": choice("fabric|material", "for {}", "wool|silk|denim"),
    "spin": integer("spin|rpm|spin speed", "at {} rpm", v.count),
    "voter": text("district|ward", "in {}|for {}", v.city),
    "candidate": text("candidate|nominee", "of {}|for {}", v.full_name),
}  # fmt: skip

_DOMAINS: dict[str, tuple[Task, ...]] = {
    "astronomy": (
        ask("the moon phase", "night", "observatory", {"moon phase": v.one_of("full", "new", "half", "waning")}),
        ask("the surface gravity", "planet", "", {"gravity": v.decimal}),
        do("point", "pointed", "the telescope", "planet", "night", {"azimuth": v.decimal, "altitude": v.decimal}),
    ),
    "pets": (
        do("arrange", "arranged", "a checkup", "pet slot", "vet", {"visit code": v.code}),
        ask("the vaccination record", "pet", "", {"vaccine": v.code, "given on": v.date}),
        ask("the feeding plan", "pet", "silent", {"portions": v.small, "food": v.product}),
    ),
    "gardening": (
        do("irrigate", "irrigated", "the plants", "bed litres", "", {"soil moisture": v.percent}),
        ask("the soil moisture", "bed", "", {"soil moisture": v.percent}),
        ask("the planting season", "plant", "", {"season": v.one_of("spring", "autumn", "summer")}),
    ),
    "art": (
        search("exhibitions", "museum", "period", {"name": v.title, "curator": v.full_name}),
        do("admit", "admitted", "a group", "museum visitors", "slot", {"entry code": v.code}),
        ask("the painter", "artwork", "", {"painter": v.full_name}),
        search("paintings", "painter", "period", {"name": v.title, "estimate": v.money}),
    ),
    "chemistry": (
        ask("the boiling point", "compound", "", {"boiling point": v.decimal}),
        ask("the molar mass", "compound", "", {"molar mass": v.decimal}),
        do("analyse", "analysed", "a specimen", "sample", "compound", {"purity": v.percent}),
    ),
    "insurance": (
        do("lodge", "lodged", "a claim", "policy damage", "", {"claim number": v.code}),
        ask("the claim decision", "claim", "", {"decision": v.one_of("accepted", "rejected", "in review"), "payout": v.money}),
        ask("the premium", "policy", "insured", {"premium": v.money}),
    ),
    "robotics": (
        do("pick", "picked", "a crate", "robot bin", "gripper speed", {"seconds": v.count}),
        ask("the battery charge", "robot", "", {"charge": v.percent}),
        do("park", "parked", "the robot", "robot", "silent", {"station": v.code}),
    ),
    "energy": (
        ask("the power consumption", "meter week", "", {"consumption": v.decimal}),
        do("switch", "switched", "the contract", "meter tariff", "", {"start of validity": v.date}),
        ask("the solar output", "meter", "week", {"output": v.decimal}),
    ),
    "harbour": (
        ask("the docking time", "vessel", "dock", {"docking time": v.clock}),
        do("unload", "unloaded", "a vessel", "vessel dock", "cargo insured", {"crane": v.code}),
        search("vessels", "dock", "night", {"name": v.title, "captain": v.full_name}),
    ),
    "laundry": (
        do("wash", "washed", "the laundry", "fabric spin", "silent", {"finishing time": v.clock}),
        do("iron", "ironed", "the linen", "fabric", "", {"pieces": v.small}),
        ask("the deposit", "lender", "", {"deposit": v.money}),
    ),
    "election": (
        ask("the turnout", "voter", "", {"turnout": v.percent}),
        ask("the vote share", "candidate", "voter", {"share": v.percent}),
    ),
}  # fmt: skip

HELD_OUT = Vocabulary(
    split="held_out",
    ask_verbs=("read", "fetch", "query", "obtain"),
    search_verbs=("browse", "locate"),
    kinds=_KINDS,
    domains=_DOMAINS,
)
