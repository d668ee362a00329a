"""Countries: capitals, continents, currencies, languages; landmarks and what is largest on Earth.

Countries whose capital or continent is disputed or has no one-word answer are left out.
"""

from random import Random

from openk2.synthesis.phrasings import Exchange, phrasing, sentence
from openk2.synthesis.topics import Form, Topic, rows
from openk2.synthesis.values import Split, invented_name

WELL_KNOWN = rows(
    """France=Paris|Germany=Berlin|Italy=Rome|Spain=Madrid|the United Kingdom=London|Japan=Tokyo|
    China=Beijing|India=New Delhi|the United States=Washington, D.C.|Canada=Ottawa|Russia=Moscow|
    Australia=Canberra|Brazil=Brasilia|Mexico=Mexico City|Egypt=Cairo|Greece=Athens|Portugal=Lisbon|
    Turkey=Ankara|Argentina=Buenos Aires|Switzerland=Bern|Austria=Vienna|Sweden=Stockholm|
    Norway=Oslo|Finland=Helsinki|Denmark=Copenhagen|Poland=Warsaw|Ireland=Dublin|
    the Netherlands=Amsterdam|Belgium=Brussels|Hungary=Budapest|South Korea=Seoul|Thailand=Bangkok|
    Vietnam=Hanoi|Indonesia=Jakarta|Kenya=Nairobi|Nigeria=Abuja|Morocco=Rabat|Peru=Lima|
    Chile=Santiago|Colombia=Bogota|Cuba=Havana|Ukraine=Kyiv|Czechia=Prague|England=London|
    Scotland=Edinburgh|Wales=Cardiff|Iceland=Reykjavik|New Zealand=Wellington"""
)
_EUROPE = """Albania=Tirana|Andorra=Andorra la Vella|Austria=Vienna|Belarus=Minsk|Belgium=Brussels|
    Bosnia and Herzegovina=Sarajevo|Bulgaria=Sofia|Croatia=Zagreb|Czechia=Prague|
    Denmark=Copenhagen|Estonia=Tallinn|Finland=Helsinki|France=Paris|Germany=Berlin|Greece=Athens|
    Hungary=Budapest|Iceland=Reykjavik|Ireland=Dublin|Italy=Rome|Latvia=Riga|Liechtenstein=Vaduz|
    Lithuania=Vilnius|Luxembourg=Luxembourg City|Malta=Valletta|Moldova=Chisinau|
    Montenegro=Podgorica|the Netherlands=Amsterdam|North Macedonia=Skopje|Norway=Oslo|
    Poland=Warsaw|Portugal=Lisbon|Romania=Bucharest|Serbia=Belgrade|Slovakia=Bratislava|
    Slovenia=Ljubljana|Spain=Madrid|Sweden=Stockholm|Switzerland=Bern|Ukraine=Kyiv|
    the United Kingdom=London|England=London|Scotland=Edinburgh|Wales=Cardiff"""
_ASIA = """Afghanistan=Kabul|Bahrain=Manama|Bangladesh=Dhaka|Bhutan=Thimphu|
    Brunei=Bandar Seri Begawan|Cambodia=Phnom Penh|China=Beijing|India=New Delhi|
    Indonesia=Jakarta|Iran=Tehran|Iraq=Baghdad|Japan=Tokyo|Jordan=Amman|Kazakhstan=Astana|
    Kuwait=Kuwait City|Kyrgyzstan=Bishkek|Laos=Vientiane|Lebanon=Beirut|Malaysia=Kuala Lumpur|
    the Maldives=Male|Mongolia=Ulaanbaatar|Myanmar=Naypyidaw|Nepal=Kathmandu|
    North Korea=Pyongyang|Oman=Muscat|Pakistan=Islamabad|the Philippines=Manila|Qatar=Doha|
    Saudi Arabia=Riyadh|Singapore=Singapore|South Korea=Seoul|Syria=Damascus|
    Tajikistan=Dushanbe|Thailand=Bangkok|Timor-Leste=Dili|Turkmenistan=Ashgabat|
    the United Arab Emirates=Abu Dhabi|Uzbekistan=Tashkent|Vietnam=Hanoi|Yemen=Sanaa"""
_AFRICA = """Algeria=Algiers|Angola=Luanda|Benin=Porto-Novo|Botswana=Gaborone|
    Burkina Faso=Ouagadougou|Burundi=Gitega|Cameroon=Yaounde|Cape Verde=Praia|
    the Central African Republic=Bangui|Chad=N'Djamena|the Comoros=Moroni|
    the Democratic Republic of the Congo=Kinshasa|the Republic of the Congo=Brazzaville|
    Djibouti=Djibouti City|Egypt=Cairo|Eritrea=Asmara|Ethiopia=Addis Ababa|Gabon=Libreville|
    the Gambia=Banjul|Ghana=Accra|Guinea=Conakry|Guinea-Bissau=Bissau|Ivory Coast=Yamoussoukro|
    Kenya=Nairobi|Lesotho=Maseru|Liberia=Monrovia|Libya=Tripoli|Madagascar=Antananarivo|
    Malawi=Lilongwe|Mali=Bamako|Mauritania=Nouakchott|Mauritius=Port Louis|Morocco=Rabat|
    Mozambique=Maputo|Namibia=Windhoek|Niger=Niamey|Nigeria=Abuja|Rwanda=Kigali|
    Sao Tome and Principe=Sao Tome|Senegal=Dakar|the Seychelles=Victoria|Sierra Leone=Freetown|
    Somalia=Mogadishu|South Sudan=Juba|Sudan=Khartoum|Tanzania=Dodoma|Togo=Lome|Tunisia=Tunis|
    Uganda=Kampala|Zambia=Lusaka|Zimbabwe=Harare"""
_NORTH_AMERICA = """Antigua and Barbuda=Saint John's|the Bahamas=Nassau|Barbados=Bridgetown|
    Belize=Belmopan|Canada=Ottawa|Costa Rica=San Jose|Cuba=Havana|Dominica=Roseau|
    the Dominican Republic=Santo Domingo|El Salvador=San Salvador|Grenada=Saint George's|
    Guatemala=Guatemala City|Haiti=Port-au-Prince|Honduras=Tegucigalpa|Jamaica=Kingston|
    Mexico=Mexico City|Nicaragua=Managua|Panama=Panama City|Saint Kitts and Nevis=Basseterre|
    Saint Lucia=Castries|Saint Vincent and the Grenadines=Kingstown|
    Trinidad and Tobago=Port of Spain|the United States=Washington, D.C."""
_SOUTH_AMERICA = """Argentina=Buenos Aires|Brazil=Brasilia|Chile=Santiago|Colombia=Bogota|
    Ecuador=Quito|Guyana=Georgetown|Paraguay=Asuncion|Peru=Lima|Suriname=Paramaribo|
    Uruguay=Montevideo|Venezuela=Caracas"""
_OCEANIA = """Australia=Canberra|Fiji=Suva|the Marshall Islands=Majuro|Micronesia=Palikir|
    New Zealand=Wellington|Palau=Ngerulmud|Papua New Guinea=Port Moresby|Samoa=Apia|
    the Solomon Islands=Honiara|Tonga=Nuku'alofa|Tuvalu=Funafuti|Vanuatu=Port Vila"""
_CONTINENTS = {
    "Europe": _EUROPE,
    "Asia": _ASIA,
    "Africa": _AFRICA,
    "North America": _NORTH_AMERICA,
    "South America": _SOUTH_AMERICA,
    "Oceania": _OCEANIA,
}
_BETWEEN_CONTINENTS = "Russia=Moscow|Turkey=Ankara|Georgia=Tbilisi|Armenia=Yerevan|Azerbaijan=Baku"
_LISTED = tuple(row for text in _CONTINENTS.values() for row in rows(text))
CAPITALS = tuple(dict.fromkeys((*WELL_KNOWN, *_LISTED, *rows(_BETWEEN_CONTINENTS))))
_CONTINENT_OF = {row[0]: name for name, text in _CONTINENTS.items() for row in rows(text)}
_CONTINENT_ROWS = tuple((row[0], _CONTINENT_OF[row[0]]) for row in CAPITALS
                        if row[0] in _CONTINENT_OF)  # fmt: skip
_CURRENCIES = rows(
    """Japan=the yen|the United Kingdom=the pound sterling|the United States=the US dollar|
    France=the euro|Germany=the euro|China=the renminbi, whose unit is the yuan|India=the rupee|
    Switzerland=the Swiss franc|Russia=the ruble|Mexico=the peso|Brazil=the real|Italy=the euro|
    Spain=the euro|Canada=the Canadian dollar|Australia=the Australian dollar|Sweden=the krona|
    Norway=the krone|Denmark=the krone|Poland=the zloty|Czechia=the koruna|Hungary=the forint|
    Turkey=the lira|Israel=the shekel|South Korea=the won|Thailand=the baht|Vietnam=the dong|
    South Africa=the rand|Egypt=the Egyptian pound|Argentina=the peso|Portugal=the euro|
    Greece=the euro|Ireland=the euro|Austria=the euro|Finland=the euro|the Netherlands=the euro|
    Belgium=the euro|Ukraine=the hryvnia|Romania=the leu|Indonesia=the rupiah|
    Malaysia=the ringgit|the Philippines=the peso|Saudi Arabia=the riyal|Kenya=the shilling|
    Nigeria=the naira|Morocco=the dirham|Peru=the sol|Chile=the peso|New Zealand=the New Zealand
    dollar|Iceland=the krona|Pakistan=the rupee|Bangladesh=the taka"""
)
_LANGUAGES = rows(
    """France=French|Germany=German|Spain=Spanish|Italy=Italian|Japan=Japanese|China=Chinese|
    Brazil=Portuguese|Portugal=Portuguese|Mexico=Spanish|Russia=Russian|Egypt=Arabic|
    England=English|the United States=English|Australia=English|Austria=German|Greece=Greek|
    Turkey=Turkish|Poland=Polish|Sweden=Swedish|Denmark=Danish|Norway=Norwegian|
    the Netherlands=Dutch|Hungary=Hungarian|Argentina=Spanish|Chile=Spanish|Colombia=Spanish|
    Cuba=Spanish|Thailand=Thai|Vietnam=Vietnamese|South Korea=Korean|Iran=Persian|
    Saudi Arabia=Arabic|Iraq=Arabic|Ukraine=Ukrainian|Romania=Romanian|Bulgaria=Bulgarian|
    Croatia=Croatian|Czechia=Czech|Iceland=Icelandic|Estonia=Estonian|Latvia=Latvian|
    Lithuania=Lithuanian|Indonesia=Indonesian|Bangladesh=Bengali|Mongolia=Mongolian|
    Nepal=Nepali|Cambodia=Khmer|Laos=Lao|Jamaica=English|Haiti=French and Haitian Creole|
    Canada=English and French|Finland=Finnish and Swedish"""
)
_LANDMARKS = rows(
    """the Eiffel Tower=Paris|the Colosseum=Rome|Big Ben=London|the Statue of Liberty=New York|
    the Great Wall=China|the Taj Mahal=India|the Brandenburg Gate=Berlin|the Acropolis=Athens|
    the Great Pyramid of Giza=Egypt|Red Square=Moscow|the Sydney Opera House=Sydney|
    the Golden Gate Bridge=San Francisco|Machu Picchu=Peru|the Louvre=Paris|
    the Forbidden City=Beijing|the Alhambra=Spain|the Leaning Tower of Pisa=Italy|
    Buckingham Palace=London|the White House=Washington, D.C.|Stonehenge=England|
    the Grand Canyon=the United States|Mount Fuji=Japan|the Sagrada Familia=Barcelona|
    Petra=Jordan|Angkor Wat=Cambodia|the Burj Khalifa=Dubai|the Little Mermaid=Copenhagen|
    the Sistine Chapel=Vatican City|Mount Kilimanjaro=Tanzania|Niagara Falls=North America"""
)
_RECORDS = rows(
    """the largest ocean=the Pacific Ocean|the highest mountain on Earth=Mount Everest|
    the largest country by area=Russia|the smallest country=Vatican City|
    the largest continent=Asia|the smallest continent=Australia|the coldest continent=Antarctica|
    the largest hot desert=the Sahara|the largest island=Greenland|the largest lake by area=the
    Caspian Sea|the deepest lake=Lake Baikal|the largest rainforest=the Amazon rainforest|
    the highest waterfall=Angel Falls in Venezuela|the deepest place in the ocean=the Mariana
    Trench|the longest river in Europe=the Volga|the highest mountain in Africa=Kilimanjaro|
    the longest mountain range on land=the Andes|the ocean between Europe and America=the
    Atlantic Ocean|the sea between Europe and Africa=the Mediterranean Sea|the river that flows
    through London=the Thames|the river that flows through Paris=the Seine|the river that flows
    through Cairo=the Nile|the longest river in South America=the Amazon"""
)
_ABOUT_A_THING = ("What is {0}?", "Which is {0}?", "Tell me {0}.", "Do you know {0}?",
                  "Can you tell me what {0} is?", "Name {0}.", "What is {0} called?",
                  "I would like to know {0}.", "Could you tell me {0}?",
                  "I wonder what {0} is.")  # fmt: skip
_CAPITAL = ("What is the capital of {0}?", "Capital of {0}?", "Tell me the capital of {0}.",
            "What's the capital of {0}?", "Which city is the capital of {0}?",
            "Do you know the capital of {0}?", "Name the capital of {0}.",
            "What is {0}'s capital?", "The capital of {0} is which city?",
            "Can you name the capital city of {0}?", "What is the capital city of {0}?",
            "Give me the capital of {0}.", "{0}: what is its capital?")  # fmt: skip
_CAPITAL_ANSWER = "The capital of {0} is {1}"
TOPICS = (
    Topic(10, CAPITALS, (
        Form(_CAPITAL, _CAPITAL_ANSWER),
        Form(_CAPITAL, _CAPITAL_ANSWER),
        Form(("Which country has {1} as its capital?", "{1} is the capital of which country?",
              "Of which country is {1} the capital?", "What country is {1} the capital of?",
              "Whose capital is {1}?", "Tell me which country's capital {1} is."),
             "{1} is the capital of {0}"),
    )),
    Topic(3, WELL_KNOWN, (Form(_CAPITAL, _CAPITAL_ANSWER),)),
    Topic(3, _CONTINENT_ROWS, (
        Form(("On which continent is {0}?", "Which continent is {0} in?",
              "What continent does {0} belong to?", "Where is {0}?",
              "In which part of the world is {0}?", "Where does {0} lie?",
              "Where in the world is {0}?"), "{0} is in {1}"),
    )),
    Topic(2, _CURRENCIES, (
        Form(("What is the currency of {0}?", "What money is used in {0}?",
              "Which currency does {0} use?", "How do people pay in {0}?",
              "What's the name of the money in {0}?", "Tell me the currency of {0}."),
             "The currency of {0} is {1}"),
    )),
    Topic(2, _LANGUAGES, (
        Form(("What language is spoken in {0}?", "Which language do people speak in {0}?",
              "What do they speak in {0}?", "What is the official language of {0}?",
              "In {0}, what do people speak?", "Tell me the language of {0}."),
             "People in {0} speak {1}"),
    )),
    Topic(2, _LANDMARKS, (
        Form(("Where is {0}?", "Where can I see {0}?", "In which place is {0}?",
              "Where do I find {0}?", "Can you tell me where {0} is?", "Where does {0} stand?"),
             "{0} is in {1}"),
    )),
    Topic(3, _RECORDS, (Form(_ABOUT_A_THING, "{0} is {1}"),)),
)  # fmt: skip


def capital_guess(rng: Random, split: Split) -> Exchange:
    """Whether a city is a country's capital, asked rightly or wrongly."""
    country, city = rng.choice(WELL_KNOWN)
    other = rng.choice(WELL_KNOWN)[1]
    asked = ("Is {1} the capital of {0}?", "{1} is the capital of {0}, right?",
             "Is it true that {1} is the capital of {0}?", "Isn't {1} the capital of {0}?",
             "Am I right that the capital of {0} is {1}?",
             "I think the capital of {0} is {1}.")  # fmt: skip
    guess = city if rng.random() < 0.5 else other
    verdict = "Yes" if guess == city else "No"
    question = phrasing(rng, split, asked).format(country, guess.removesuffix("."))
    return question, sentence(f"{verdict}, the capital of {country} is {city}")


def invented_country(rng: Random, split: Split) -> Exchange:
    """A country that does not exist."""
    name = invented_name(rng, split)
    question = rng.choice(("capital", "currency", "language"))
    asked = _CAPITAL if question == "capital" else (
        f"What is the {question} of {{0}}?", f"Tell me the {question} of {{0}}.",
        f"Which {question} does {{0}} have?", f"What's the {question} in {{0}}?",
        f"Do you know the {question} of {{0}}?",
    )  # fmt: skip
    return phrasing(rng, split, asked).format(name), f"I don't know a country called {name}."
