"""Short lyrics written for the tests: in languages that are not supported, and in English of many kinds."""

FOREIGN = {
    "es": """
        Esta noche camino por la calle mojada
        con tu nombre guardado en el bolsillo
        las farolas me miran sin decirme nada
        y el invierno se duerme en el pasillo
        Vuelve a casa, mi vida, que la mesa está puesta
        y el café todavía no se ha enfriado
        tengo la ventana abierta a la respuesta
        y un silencio larguísimo a mi lado
    """,
    "fr": """
        Ce soir je rentre à pied le long de la rivière
        les bateaux sont rangés comme des livres anciens
        j'ai gardé dans ma poche un morceau de lumière
        et le bruit de tes pas qui ne sont plus les miens
        Reviens avant l'hiver, la maison est trop grande
        le chat dort sur ta chaise et la pluie sur le toit
        il n'y a plus personne ici qui me demande
        pourquoi je mets la table encore une fois pour toi
    """,
    "de": """
        Ich laufe durch die Straßen, wenn die Lichter langsam gehen
        der Regen malt mir Bilder auf den Schuh
        ich kann den alten Kirchturm hinter deinem Fenster sehen
        und jeder Schlag der Glocke klingt wie du
        Komm doch wieder nach Hause, der Winter steht im Garten
        das Brot liegt auf dem Tisch und niemand schneidet es an
        ich habe keine Lust mehr, auf den Frühling zu warten
        weil ohne dich der Morgen nicht beginnen kann
    """,
    "pt": """
        Hoje eu ando sozinho na beira do mar
        com a tua camisa dobrada na mão
        as ondas não sabem do que vou falar
        e a lua acende a luz do portão
        Volta para casa que o dia já vem
        o pão está quente e o rádio ligado
        não quero dançar com mais ninguém
        só quero você aqui do meu lado
    """,
    "it": """
        Questa sera cammino da solo in città
        con le scarpe bagnate e il giornale di ieri
        la fontana racconta quello che non sa
        e la luna si perde dietro i miei pensieri
        Torna a casa, amore, che la porta è aperta
        ho lasciato una luce accesa per te
        la tua parte di letto è ancora coperta
        e la notte non dice nemmeno perché
    """,
    "nl": """
        Ik loop vanavond langs de gracht in de regen
        met jouw oude jas over mijn schouder heen
        de fietsen staan zwijgend tegen elkaar aan gelegen
        en ik voel me tussen al die mensen alleen
        Kom toch weer naar huis, de koffie staat te wachten
        de kat heeft al dagen niet meer gegeten van verdriet
        ik tel de uren van de veel te lange nachten
        maar de deur gaat niet open en jij bent er niet
    """,
    "sv": """
        Jag går genom staden när snön börjar falla
        med händerna djupt i min alldeles för tunna rock
        det lyser i fönstren och värmer hos alla
        men klockan på torget har stannat sin klocka
        Kom hem till mig nu innan våren är över
        jag har dukat för två och tänt ljusen igen
        det finns inget annat på jorden jag behöver
        än ljudet av dina steg, min vän
    """,
    "pl": """
        Idę sam przez miasto, kiedy gasną światła
        deszcz pisze na szybach twoje imię znów
        noc jest taka długa i wcale niełatwa
        bo zabrakło między nami słów
        Wróć do domu, proszę, stół jest już nakryty
        herbata wciąż ciepła i kot śpi na twoim krześle
        mam w kieszeni list, którego nigdy nie wysłałem
        i wszystko, co chciałem ci powiedzieć wreszcie
    """,
    "tr": """
        Bu gece yağmurda yalnız yürüyorum
        cebimde senden kalan eski bir mektup var
        sokak lambalarına seni soruyorum
        sustukça büyüyor içimdeki duvar
        Eve dön sevgilim, çay hâlâ sıcak
        pencerenin önünde kediler uyuyor
        bir gün bu şehirde bahar olacak
        kalbim senin sesini her yerde duyuyor
    """,
    "id": """
        Malam ini aku berjalan sendiri di bawah hujan
        membawa surat lama yang belum pernah kubuka
        lampu jalan menatapku tanpa sebuah jawaban
        dan bulan bersembunyi seperti menyimpan luka
        Pulanglah sayang, pintu rumah masih terbuka
        kopi di atas meja sudah mulai dingin
        aku tidak ingin lagi menunggu dengan air mata
        hanya ingin kamu kembali bersama angin
    """,
    "ru": """
        Я иду один по городу под дождём
        и фонари глядят мне тихо вслед
        мы обещали быть с тобой вдвоём
        но в нашем доме снова гаснет свет
        Вернись домой, на кухне стынет чай
        и кот уснул на стуле у окна
        я не хочу опять сказать прощай
        пока над крышей светится луна
    """,
    "ja": """
        雨の降る夜にひとりで歩いている
        ポケットには君の古い手紙
        街灯は何も言わずに僕を見ている
        月も雲の向こうに隠れた
        帰っておいで ドアは開いているよ
        お茶はまだ温かいままで
        猫は君の椅子で眠っている
        春が来る前に会いたい
    """,
    "ko": """
        비 내리는 밤 나 혼자 걸어가네
        주머니 속에는 너의 오래된 편지
        가로등은 말없이 나를 바라보고
        달빛도 구름 뒤에 숨어버렸어
        집으로 돌아와 문은 열려 있어
        따뜻한 차가 아직 식지 않았어
        고양이는 네 의자에서 잠들고
        봄이 오기 전에 너를 만나고 싶어
    """,
    "zh": """
        下雨的夜晚我一个人走在街上
        口袋里还放着你旧旧的信
        路灯看着我却什么也不讲
        月亮躲在云里不肯出来
        回家吧 门还为你开着
        桌上的茶还没有变凉
        小猫睡在你的椅子上
        我想在春天以前见到你
    """,
    "ar": """
        أمشي وحيدا في الليل تحت المطر
        وفي جيبي رسالة قديمة منك
        تنظر إلي المصابيح دون كلام
        والقمر يختبئ خلف الغيوم
        عد إلى البيت فالباب مفتوح
        والشاي على الطاولة ما زال دافئا
        تنام القطة على كرسيك الفارغ
        أريد أن أراك قبل الربيع
    """,
    "he": """
        אני הולך לבד ברחוב תחת הגשם
        ובכיס שלי מכתב ישן ממך
        הפנסים מביטים בי בלי מילים
        והירח מתחבא מאחורי הענן
        תחזרי הביתה הדלת פתוחה
        והתה על השולחן עוד לא התקרר
        החתול ישן על הכיסא שלך
        אני רוצה לראות אותך לפני האביב
    """,
    "hi": """
        बारिश की रात में मैं अकेला चलता हूँ
        जेब में तेरी पुरानी चिट्ठी रखी है
        सड़क की बत्तियाँ चुपचाप देखती हैं
        और चाँद बादल के पीछे छुपा है
        घर लौट आओ दरवाज़ा खुला है
        मेज़ पर चाय अब भी गरम है
        बिल्ली तुम्हारी कुर्सी पर सोती है
        बसंत से पहले तुमसे मिलना है
    """,
}

ENGLISH = {
    "a Spanish refrain": """
        I left my keys on the bar and my heart on the floor
        The band played slow till they locked up the door
        You taught me two words on the edge of the pier
        And I say them at night when there's nobody here
        Mi corazón, mi corazón
        vuelve conmigo esta noche
        I drove to the coast with the radio low
        And I still don't know where the good summers go
    """,
    "a French refrain": """
        Rain on the awning, two cups of tea
        You drew the whole city on a napkin for me
        The train leaves at seven, the platform is wet
        You're smiling at something I haven't said yet
        Je ne sais pas pourquoi
        je pense encore à toi
        I kept the old napkin, I framed it in wood
        I'd come back to find you if only I could
    """,
    "interjections": """
        La la la, na na na na
        Woah oh oh, woah oh
        Ooh ooh ooh, yeah yeah
        Na na na, hey hey hey
        La la la la la la
        Woah oh oh, uh huh
    """,
    "one interjection": "La la la\nLa la la la la\nLa la la la",
    "na na na": "Na na na\nNa na na na na\nNa na na na\nHey hey hey\nGoodbye",
    "woah": "Woah oh oh\nWoah oh oh oh\nWhoa whoa\nOoh ooh",
    "doo wop": "Shoop shoop shoobedoo\nSha na na na\nDum dum diddy dum\nShoobedoo wop wop\nBa da da da",
    "slang": """
        Ain't nobody 'bout to tell me how I'm s'posed to roll
        Finna hit the block wit' my homies, yeah we outta control
        Gimme dat beat, lemme hear it go boom
        Y'all gon' learn when we step in da room
        I'ma keep it lit, no cap, no stress
        Got my grandma prayin' an' my shawty so blessed
        Whatchu know 'bout dat, whatchu tryna say
        We was up till mornin' an' we gettin' paid
    """,
    "Scots": """
        O whaur are ye gaun, my bonnie wee lass
        Wi' yer hair blawin' wild in the mornin' grass
        I'm gaun tae the burn whaur the watter rins doon
        Tae look for ma laddie that's awa' frae the toon
        He didnae say naethin', he couldnae bide lang
        He left me the tune o' an auld Hielan' sang
        Och dinnae ye greet, for the nicht is near done
        An' ye'll ken him again by the licht o' the sun
    """,
    "patois": """
        Mi deh pon di corner wid mi bredda dem
        Sun a shine hot an' di riddim a ben'
        Gyal, yuh know seh mi love yuh fi true
        Every likkle ting weh mi have come from yuh
        Babylon cyaan stop di music we play
        Wi a guh dance till di bruk a di day
        Come siddung yah so an' hol' up yuh head
        Memba di wud weh yuh granny did seh
    """,
    "old words": """
        Thou art the lamp that on my casement burneth
        And I the moth that knoweth not to flee
        O'er hill and dale thy shepherd's heart returneth
        Wherefore, sweet maid, dost hide thyself from me
        'Tis hawthorn time, the throstle singeth clearly
        The dew hath hung its pearl on every spray
        Whom I have loved, I loved alone and dearly
        And ne'er shall love until my dying day
    """,
    "names": """
        Maria and Giovanni, Xiomara and Björn
        Took the train from Reykjavik to Kathmandu
        Nguyen brought the guitar, Siobhan brought the horn
        Oluwaseun was singing the blues
        From Ouagadougou down to Valparaíso
        From Kyoto to Minneapolis too
        Everybody's dancing with somebody's cousin
        And I'm still here dancing with you
    """,
    "shouts": "GET UP!!! GET UP!!!\nJUMP JUMP JUMP\nHEY! HO! LET'S GO GO GO\nBOOM BOOM, SHAKE THE ROOM",
}
