"""Simple science: planets, elements, animals, the body, colours, seasons, units."""

from openk2.synthesis.topics import Form, Topic, rows

_PLANETS = rows(
    """first=Mercury|second=Venus|third=Earth|fourth=Mars|fifth=Jupiter|sixth=Saturn|
    seventh=Uranus|eighth=Neptune"""
)
_OF_THE_SKY = rows(
    """the largest planet=Jupiter|the planet closest to the Sun=Mercury|
    the planet farthest from the Sun=Neptune|the red planet=Mars|the hottest planet=Venus|
    the smallest planet=Mercury|the planet we live on=Earth|the planet with the bright rings=Saturn|
    the star at the centre of the solar system=the Sun|the star closest to Earth=the Sun|
    the galaxy we live in=the Milky Way|the natural satellite of Earth=the Moon|
    the fastest thing in the universe=light|the boiling point of water at sea level=100 degrees
    Celsius|the freezing point of water=0 degrees Celsius|the normal temperature of the human
    body=about 37 degrees Celsius|the largest animal on Earth=the blue whale|the fastest land
    animal=the cheetah|the tallest animal=the giraffe|the largest land animal=the African elephant|
    the largest bird=the ostrich|the king of the animals=the lion|the largest organ of the human
    body=the skin|the organ that pumps blood=the heart|the longest bone of the human body=the
    thigh bone|the most common gas in the air=nitrogen|the gas that we need to breathe=oxygen|
    the gas that plants take in=carbon dioxide|the hardest natural mineral=diamond|
    the lightest element=hydrogen|the force that pulls things to the ground=gravity|
    the centre of an atom=the nucleus|the frozen form of water=ice|the colour of fresh
    snow=white|the formula of water=H2O|the formula of carbon dioxide=CO2|the formula of table
    salt=NaCl|the speed of light=about 300,000 kilometres per second|the distance from Earth to
    the Sun=about 150 million kilometres|the speed of sound in air=about 340 metres per second"""
)
_ELEMENTS = rows(
    """gold=Au|silver=Ag|iron=Fe|oxygen=O|hydrogen=H|carbon=C|nitrogen=N|copper=Cu|lead=Pb|
    sodium=Na|potassium=K|calcium=Ca|helium=He|neon=Ne|mercury=Hg|tin=Sn|zinc=Zn|aluminium=Al|
    silicon=Si|sulfur=S|phosphorus=P|chlorine=Cl|iodine=I|uranium=U|platinum=Pt|nickel=Ni|
    magnesium=Mg|lithium=Li|fluorine=F|argon=Ar|titanium=Ti|chromium=Cr|cobalt=Co|tungsten=W"""
)
_SOUNDS = rows(
    """a dog=barks|a cat=meows|a cow=moos|a sheep=bleats|a horse=neighs|a pig=grunts|a duck=quacks|
    a lion=roars|a wolf=howls|a bee=buzzes|a snake=hisses|a rooster=crows|an owl=hoots|
    a frog=croaks|a mouse=squeaks|a donkey=brays|a dove=coos|an elephant=trumpets"""
)
_YOUNG = rows(
    """dog=puppy|cat=kitten|cow=calf|horse=foal|sheep=lamb|pig=piglet|chicken=chick|duck=duckling|
    goat=kid|lion=cub|bear=cub|frog=tadpole|deer=fawn|goose=gosling|kangaroo=joey|swan=cygnet|
    butterfly=caterpillar|fox=cub"""
)
_CLASSES = rows(
    """a dog=a mammal|a cat=a mammal|a whale=a mammal|a bat=a mammal|a dolphin=a mammal|
    a human=a mammal|an eagle=a bird|a penguin=a bird|an owl=a bird|a shark=a fish|a salmon=a fish|
    a snake=a reptile|a lizard=a reptile|a crocodile=a reptile|a turtle=a reptile|
    a frog=an amphibian|a bee=an insect|an ant=an insect|a butterfly=an insect|
    a spider=an arachnid|an elephant=a mammal|a horse=a mammal|a chicken=a bird"""
)
_COUNTS = rows(
    """legs=does a spider have=A spider has 8 legs|legs=does a dog have=A dog has 4 legs|
    legs=does an insect have=An insect has 6 legs|legs=does a bird have=A bird has 2 legs|
    arms=does an octopus have=An octopus has 8 arms|legs=does a cat have=A cat has 4 legs|
    days=are in a week=There are 7 days in a week|days=are in a year=There are 365 days in a year,
    and 366 in a leap year|months=are in a year=There are 12 months in a year|hours=are in a
    day=There are 24 hours in a day|minutes=are in an hour=There are 60 minutes in an hour|
    seconds=are in a minute=There are 60 seconds in a minute|weeks=are in a year=There are about 52
    weeks in a year|days=are in a leap year=There are 366 days in a leap year|
    years=are in a century=There are 100 years in a century|years=are in a decade=There are 10
    years in a decade|letters=are in the English alphabet=There are 26 letters in the English
    alphabet|vowels=are in the English alphabet=There are 5 vowels in the English alphabet: A, E, I,
    O and U|planets=are in the solar system=There are 8 planets in the solar system|
    continents=are there=There are 7 continents|oceans=are there=There are 5 oceans|
    fingers=are on a hand=There are 5 fingers on a hand, counting the thumb|toes=does a person
    have=A person has 10 toes|eyes=does a person have=A person has 2 eyes|teeth=does an adult
    have=An adult usually has 32 teeth|bones=does an adult have=An adult has 206 bones|
    sides=does a triangle have=A triangle has 3 sides|sides=does a square have=A square has 4 equal
    sides|sides=does a hexagon have=A hexagon has 6 sides|sides=does a pentagon have=A pentagon has
    5 sides|degrees=are in a circle=There are 360 degrees in a circle|degrees=are in a right
    angle=There are 90 degrees in a right angle|seasons=are in a year=There are 4 seasons in a
    year|colours=does a rainbow have=A rainbow is said to have 7 colours|strings=does a violin
    have=A violin has 4 strings|strings=does a guitar have=A guitar usually has 6 strings|
    keys=does a piano have=A piano usually has 88 keys|players=are in a football team=There are 11
    players in a football team|cards=are in a deck=There are 52 cards in a deck|squares=are on a
    chessboard=There are 64 squares on a chessboard|bits=are in a byte=There are 8 bits in a byte|
    things=are in a dozen=There are 12 things in a dozen|centimetres=are in a metre=There are 100
    centimetres in a metre|metres=are in a kilometre=There are 1,000 metres in a kilometre|
    grams=are in a kilogram=There are 1,000 grams in a kilogram|millimetres=are in a
    centimetre=There are 10 millimetres in a centimetre|inches=are in a foot=There are 12 inches in
    a foot|feet=are in a yard=There are 3 feet in a yard|ounces=are in a pound=There are 16 ounces
    in a pound|millilitres=are in a litre=There are 1,000 millilitres in a litre|
    kilograms=are in a tonne=There are 1,000 kilograms in a tonne|cents=are in a dollar=There are
    100 cents in a dollar|kilometres=are in a mile=There are about 1.6 kilometres in a mile|
    states=are in the United States=There are 50 states in the United States"""
)
_COLOURS = rows(
    """the sky on a clear day=blue|grass=green|snow=white|blood=red|a banana=yellow when it is ripe|
    coal=black|a ripe tomato=red|an orange=orange|a lemon=yellow|milk=white|a cucumber=green|
    chocolate=brown|a flamingo=pink|salt=white|gold=yellow|an emerald=green|a ruby=red|
    a polar bear=white|an elephant=grey|a pumpkin=orange|charcoal=black|a strawberry=red"""
)
_MIXTURES = rows(
    """blue=yellow=green|red=yellow=orange|red=blue=purple|black=white=grey|red=white=pink"""
)
_SENSES = rows(
    """see=our eyes|hear=our ears|smell=our nose|taste=our tongue|think=our brain|breathe=our lungs|
    chew=our teeth|touch=our skin|walk=our legs and feet|hold things=our hands"""
)
_SEASONS = rows(
    "spring=summer=winter|summer=autumn=spring|autumn=winter=summer|winter=spring=autumn"
)
_WHY = rows(
    """is the sky blue=The sky is blue because air scatters blue light more than red light|
    does it rain=It rains because water vapour in clouds cools and falls as drops|
    do we have day and night=We have day and night because the Earth turns|
    are there seasons=There are seasons because the Earth's axis is tilted|
    do leaves look green=Leaves look green because of chlorophyll|
    does ice float=Ice floats because it is less dense than water|
    do things fall=Things fall because gravity pulls them to the Earth|
    do we sleep=We sleep because body and brain need rest|
    is the sea salty=The sea is salty because rivers carry salts from rocks into it|
    do we see lightning before thunder=We see lightning first because light is faster than sound|
    do we need to drink=We need to drink because the body keeps losing water|
    do birds migrate=Birds migrate to find food and warmth|
    do plants need light=Plants need light because they make their food with it|
    does the Moon shine=The Moon shines because it reflects the light of the Sun|
    do cats purr=Cats often purr when they are content"""
)
_WHAT_FORMS = ("What is {0}?", "Which is {0}?", "Tell me {0}.", "Do you know {0}?",
               "Can you tell me {0}?", "Name {0}.", "What is {0}, please?",
               "I'd like to know {0}.", "I would like to know what {0} is.",
               "Could you tell me {0}?")  # fmt: skip
_EATEN_BY = rows(
    """a panda=bamboo|a cow=grass|a lion=meat|a rabbit=plants|a bee=nectar and pollen|
    a koala=eucalyptus leaves|a horse=grass and hay|a squirrel=nuts and seeds|
    a bear=plants and meat|a sheep=grass"""
)
TOPICS = (
    Topic(1.5, _PLANETS, (
        Form(("Which planet is the {0} from the Sun?", "What is the {0} planet from the Sun?",
              "Name the {0} planet from the Sun.", "What is the {0} planet?",
              "Counting from the Sun, which planet is {0}?", "Tell me the {0} planet."),
             "The {0} planet from the Sun is {1}"),
    )),
    Topic(4, _OF_THE_SKY, (Form(_WHAT_FORMS, "{0} is {1}"),)),
    Topic(2, _ELEMENTS, (
        Form(("What is the chemical symbol for {0}?", "What is the symbol of {0}?",
              "Which symbol does {0} have?", "Chemical symbol of {0}?",
              "How is {0} written in chemistry?", "Tell me the symbol for {0}."),
             "The chemical symbol for {0} is {1}"),
        Form(("Which element has the symbol {1}?", "What element is {1}?",
              "What does the chemical symbol {1} mean?", "{1} is the symbol of which element?",
              "In chemistry, what is {1}?"), "{1} is the chemical symbol for {0}"),
    )),
    Topic(1, _SOUNDS, (
        Form(("What sound does {0} make?", "What does {0} do when it makes a sound?",
              "Which noise does {0} make?", "How does {0} sound?", "What noise comes from {0}?"),
             "{0} {1}"),
    )),
    Topic(1, _YOUNG, (
        Form(("What is a baby {0} called?", "What is a young {0} called?",
              "What do you call a baby {0}?", "What is the word for a young {0}?",
              "What's the name for a baby {0}?", "Name for a young {0}?"),
             "A young {0} is called a {1}"),
    )),
    Topic(1, _CLASSES, (
        Form(("What kind of animal is {0}?", "What type of animal is {0}?",
              "To which group of animals does {0} belong?", "Which class of animal is {0}?",
              "What sort of animal is {0}?", "Tell me what kind of animal {0} is."),
             "{0} is {1}"),
    )),
    Topic(6, _COUNTS, (
        Form(("How many {0} {1}?", "How many {0} {1}?", "Tell me: how many {0} {1}?",
              "Do you know this? How many {0} {1}?", "I wonder: how many {0} {1}?",
              "So how many {0} {1}?", "My child asks: how many {0} {1}?"), "{2}"),
    )),
    Topic(1.5, _COLOURS, (
        Form(("What colour is {0}?", "What color is {0}?", "Which colour does {0} have?",
              "What is the color of {0}?", "What is the colour of {0}?",
              "Tell me the colour of {0}."), "{0} is {1}"),
    )),
    Topic(0.7, _MIXTURES, (
        Form(("What do you get if you mix {0} and {1}?", "What colour do {0} and {1} make?",
              "Mix {0} and {1}: what comes out?", "Which colour is {0} mixed with {1}?",
              "What happens when I mix {0} with {1} paint?", "What color do {0} and {1} give?"),
             "{0} and {1} make {2}"),
    )),
    Topic(0.7, _SENSES, (
        Form(("What do we {0} with?", "Which part of the body do we {0} with?",
              "With what do we {0}?", "How do people {0}?", "What do humans use to {0}?"),
             "We {0} with {1}"),
    )),
    Topic(0.7, _SEASONS, (
        Form(("Which season comes after {0}?", "What season follows {0}?",
              "What comes after {0}?", "After {0} comes which season?",
              "Tell me the season after {0}."), "After {0} comes {1}"),
        Form(("Which season comes before {0}?", "What season is before {0}?",
              "What comes before {0}?", "Before {0} comes which season?",
              "Tell me the season before {0}."), "Before {0} comes {2}"),
    )),
    Topic(0.8, _EATEN_BY, (
        Form(("What does {0} eat?", "What is the food of {0}?", "What do you feed {0}?",
              "What does {0} live on?", "Which food does {0} eat?"), "{0} eats {1}"),
    )),
    Topic(2, _WHY, (
        Form(("Why {0}?", "Can you explain why? Why {0}?", "Tell me: why {0}?", "why {0}",
              "Do you know why? Why {0}?", "My child asks: why {0}?"), "{1}"),
    )),
)  # fmt: skip
