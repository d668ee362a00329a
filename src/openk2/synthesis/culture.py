"""People, works and words: authors, inventors, opposites, plurals, translations, definitions."""

from openk2.synthesis.topics import Form, Topic, rows

_WORKS = rows(
    """Romeo and Juliet=William Shakespeare|Hamlet=William Shakespeare|Macbeth=William Shakespeare|
    Don Quixote=Miguel de Cervantes|Pride and Prejudice=Jane Austen|War and Peace=Leo Tolstoy|
    Harry Potter=J. K. Rowling|The Lord of the Rings=J. R. R. Tolkien|The Hobbit=J. R. R. Tolkien|
    1984=George Orwell|Animal Farm=George Orwell|Faust=Johann Wolfgang von Goethe|
    The Odyssey=Homer|The Divine Comedy=Dante Alighieri|Oliver Twist=Charles Dickens|
    A Christmas Carol=Charles Dickens|Frankenstein=Mary Shelley|Dracula=Bram Stoker|
    Moby-Dick=Herman Melville|The Adventures of Tom Sawyer=Mark Twain|Emma=Jane Austen|
    Crime and Punishment=Fyodor Dostoevsky|Anna Karenina=Leo Tolstoy|Les Miserables=Victor Hugo|
    The Little Prince=Antoine de Saint-Exupery|The Metamorphosis=Franz Kafka|Ulysses=James Joyce|
    Alice's Adventures in Wonderland=Lewis Carroll|Peter Pan=J. M. Barrie|
    Jane Eyre=Charlotte Bronte|Wuthering Heights=Emily Bronte|Treasure Island=Robert Louis
    Stevenson|Robinson Crusoe=Daniel Defoe|Gulliver's Travels=Jonathan Swift|
    One Hundred Years of Solitude=Gabriel Garcia Marquez|The Great Gatsby=F. Scott Fitzgerald|
    The Old Man and the Sea=Ernest Hemingway|The Jungle Book=Rudyard Kipling|
    The Count of Monte Cristo=Alexandre Dumas|The Aeneid=Virgil"""
)
_DEEDS = rows(
    """painted the Mona Lisa=Leonardo da Vinci|painted The Starry Night=Vincent van Gogh|
    painted Guernica=Pablo Picasso|painted the ceiling of the Sistine Chapel=Michelangelo|
    composed the Ninth Symphony with the Ode to Joy=Ludwig van Beethoven|composed The Magic
    Flute=Wolfgang Amadeus Mozart|composed The Four Seasons=Antonio Vivaldi|composed Swan
    Lake=Pyotr Ilyich Tchaikovsky|discovered penicillin=Alexander Fleming|discovered
    radium=Marie and Pierre Curie|formulated the theory of relativity=Albert Einstein|
    formulated the law of universal gravitation=Isaac Newton|proposed evolution by natural
    selection in On the Origin of Species=Charles Darwin|was the first person on the Moon=Neil
    Armstrong|was the first person in space=Yuri Gagarin|was the first president of the United
    States=George Washington|patented the telephone in 1876=Alexander Graham Bell|invented the
    World Wide Web=Tim Berners-Lee|started the Linux kernel=Linus Torvalds|created the Python
    programming language=Guido van Rossum|invented dynamite=Alfred Nobel|sailed from Spain to
    America in 1492=Christopher Columbus|put the Sun at the centre of the planets in
    1543=Nicolaus Copernicus|is often called the first programmer=Ada Lovelace|was the first to
    reach the South Pole=Roald Amundsen|made the periodic table of 1869=Dmitri Mendeleev|
    founded Microsoft=Bill Gates and Paul Allen|founded Apple=Steve Jobs, Steve Wozniak and Ronald
    Wayne"""
)
_OPPOSITES = rows(
    """hot=cold|big=small|fast=slow|day=night|up=down|old=young|happy=sad|light=dark|open=closed|
    early=late|hard=soft|full=empty|left=right|high=low|rich=poor|wet=dry|good=bad|long=short|
    near=far|first=last|strong=weak|clean=dirty|black=white|inside=outside|true=false|easy=difficult|
    loud=quiet|thick=thin|wide=narrow|deep=shallow|heavy=light|begin=end|buy=sell|love=hate|
    win=lose|always=never|above=below|north=south|east=west|hero=villain|friend=enemy|yes=no|
    alive=dead|cheap=expensive|brave=cowardly|sweet=sour|smooth=rough|push=pull|ask=answer"""
)
_PLURALS = rows(
    """mouse=mice|child=children|man=men|woman=women|foot=feet|tooth=teeth|goose=geese|person=people|
    dog=dogs|cat=cats|city=cities|box=boxes|leaf=leaves|knife=knives|wolf=wolves|sheep=sheep|
    fish=fish|baby=babies|bus=buses|house=houses|tomato=tomatoes|life=lives|ox=oxen|book=books"""
)
_PASTS = rows(
    """go=went|be=was or were|have=had|do=did|see=saw|eat=ate|come=came|take=took|give=gave|run=ran|
    write=wrote|speak=spoke|know=knew|think=thought|buy=bought|bring=brought|find=found|sing=sang|
    swim=swam|drink=drank|sleep=slept|make=made|say=said|tell=told|read=read|teach=taught|fly=flew|
    walk=walked|play=played|begin=began"""
)
_WORDS_ABROAD = rows(
    """hello=French=bonjour|hello=Spanish=hola|hello=German=hallo|hello=Italian=ciao|
    hello=Portuguese=olá|thank you=French=merci|thank you=Spanish=gracias|thank you=German=danke|
    thank you=Italian=grazie|goodbye=French=au revoir|goodbye=Spanish=adiós|goodbye=German=auf
    Wiedersehen|yes=French=oui|yes=Spanish=sí|yes=German=ja|yes=Russian=da|no=French=non|
    no=German=nein|water=French=eau|water=Spanish=agua|water=German=Wasser|dog=Spanish=perro|
    dog=French=chien|dog=German=Hund|cat=Spanish=gato|cat=French=chat|cat=German=Katze|
    house=Spanish=casa|house=German=Haus|house=French=maison|bread=French=pain|
    bread=German=Brot|friend=Spanish=amigo|love=French=amour|one=Spanish=uno|two=German=zwei"""
)
_DEFINITIONS = rows(
    """artificial intelligence=the attempt to make machines do what needs intelligence in people|
    a language model=a program that predicts the next piece of a text|
    machine learning=a way to make programs learn from examples|
    a black hole=a place in space whose gravity is so strong that not even light escapes|
    the internet=a worldwide network of computers|gravity=the force by which masses attract each
    other|Python=a programming language|a computer=a machine that carries out programs|
    photosynthesis=the way plants make sugar from light, water and carbon dioxide|
    a tool call=a request in which a model asks for a function to be run with some arguments|
    an algorithm=a list of steps that solves a problem|a neural network=a model made of layers of
    simple units whose weights are learned|an API=a way for programs to talk to each other|
    JSON=a text format for data|a dog=an animal that barks and is often kept as a pet|
    a cat=a small animal that is often kept as a pet|a star=a huge ball of hot gas that shines|
    the Sun=the star at the centre of our solar system|the Moon=the natural satellite of the Earth|
    a planet=a large body that goes around a star|an atom=the smallest part of a chemical element|
    a molecule=a group of atoms that are bound together|DNA=the molecule that carries the genes of
    living things|a cell=the smallest living part of a body|a virus=a tiny germ that multiplies
    inside living cells|energy=the ability to do work|electricity=a flow of electric charge|
    a triangle=a shape with three sides|a circle=a round shape whose points are all equally far
    from its centre|a prime number=a whole number above 1 that only 1 and itself divide|
    pi=a number of about 3.14159, the ratio of a circle's circumference to its diameter|
    zero=the number that adds nothing|an island=land with water all around it|a volcano=an opening
    in the ground from which lava can come|an earthquake=a shaking of the ground|a desert=a very
    dry region|a river=a large stream of flowing water|a lake=a body of water with land around it|
    rain=water that falls in drops from clouds|snow=frozen water that falls in flakes|
    a rainbow=an arc of colours made by sunlight in drops of water|democracy=government by the
    people, mostly through elections|inflation=a general rise of prices|a bank=a business that
    keeps and lends money|a piano=a musical instrument with keys|a poem=a text in verse|
    a novel=a long story in prose|chess=a board game for two players|football=a game in which two
    teams try to get a ball into a goal|a vegetarian=a person who eats no meat|bread=a food baked
    from flour and water|cheese=a food made from milk|coffee=a drink made from roasted beans|
    tea=a drink made from leaves and hot water|a doctor=a person who treats the sick|
    a teacher=a person who teaches|a robot=a machine that can do tasks by itself|
    a browser=a program for viewing web pages|an email=a message sent over a computer network|
    a database=an organised collection of data|Linux=a free operating system kernel|
    open source=software whose source code anybody may read and change|
    openk2=an independent implementation, in Python, of the Kimi K2 architecture and its
    training"""
)
TOPICS = (
    Topic(3, _WORKS, (
        Form(("Who wrote {0}?", "Who is the author of {0}?", "Which author wrote {0}?",
              "{0} was written by whom?", "Tell me who wrote {0}.", "By whom is {0}?",
              "Do you know who wrote {0}?", "Who's the writer of {0}?",
              "Name the author of {0}.", "Whose work is {0}?"), "{1} wrote {0}"),
    )),
    Topic(2, _DEEDS, (
        Form(("Who {0}?", "Do you know who {0}?", "Tell me who {0}.", "So, who {0}?",
              "Can you tell me who {0}?", "I forgot who {0}."), "{1} {0}"),
    )),
    Topic(2.5, _OPPOSITES, (
        Form(("What is the opposite of {0}?", "Opposite of {0}?", "Name the opposite of {0}.",
              "What's the opposite of {0}?", "Which word is the opposite of {0}?",
              "Tell me the opposite of {0}.", "What word means the opposite of {0}?"),
             "The opposite of {0} is {1}"),
    )),
    Topic(1, _PLURALS, (
        Form(("What is the plural of {0}?", "Plural of {0}?", "How do you write more than one {0}?",
              "Give me the plural of {0}.", "What's the plural form of {0}?",
              "Tell me the plural of {0}."), "The plural of {0} is {1}"),
    )),
    Topic(1, _PASTS, (
        Form(("What is the past tense of {0}?", "Past tense of {0}?", "Put {0} in the past tense.",
              "What's the past of {0}?", "What is the past form of the verb {0}?",
              "Tell me the past tense of {0}."), "The past tense of {0} is {1}"),
    )),
    Topic(1.5, _WORDS_ABROAD, (
        Form(("How do you say {0} in {1}?", "What is {0} in {1}?", "Translate {0} into {1}.",
              "Which word is {0} in {1}?", "What's the {1} word for {0}?",
              "Say {0} in {1}."), "In {1}, {0} is \"{2}\""),
    )),
    Topic(4, _DEFINITIONS, (
        Form(("What is {0}?", "What's {0}?", "Explain {0}.", "Define {0}.",
              "Can you explain {0} to me?", "Tell me what {0} is.", "What is meant by {0}?",
              "Explain {0} in one sentence.", "Do you know what {0} is?",
              "In short, what is {0}?"), "{0} is {1}"),
    )),
)  # fmt: skip
