# SPDX-License-Identifier: Apache-2.0
"""Words that templates are filled with, written for this purpose, and classes of words."""

TITLES = """Mr. Mrs. Ms. Miss Dr. Prof. Mr Mrs Ms Dr Sir Madam Prof Mx. Mx Shri Smt. Sri Kumari Adv. Er. Capt. Col. Maj. Lt.
Sgt. Cpl. Gen. Cmdr. Rev. Fr. Hon. Herr Frau Fräulein Mme M. Mlle Mme. Mlle. Monsieur Madame Mademoiselle Maître 
Sr. Sra. Srta. Sr Sra Señor Señora Señorita Don Doña Dra. Lic. Ing. Sig. Sig.ra Signor Signora Dott. Dott.ssa Avv. Senhor Senhora
Dhr. Mevr. Mevrouw Meneer Hr. Fru Fröken Pani Pán Paní Professor Doctor Captain Colonel Major Lieutenant Sergeant 
Sheikh Maulana Pandit Begum Janab Lord Lady Dame 
Rabbi Imam Pastor Reverend Datuk Engr. Atty.
MR MRS MS DR Dipl.-Ing. Mag. Bayan Alhaji Hajiya Mallam Pak Bapak Ibu""".split()

NRP = """Afghan Albanian Algerian American Argentine Argentinian Armenian Australian Austrian Azerbaijani Bahraini Bangladeshi
Belarusian Belgian Bolivian Bosnian Brazilian British Bulgarian Burmese Cambodian Cameroonian Canadian Chilean Chinese
Colombian Croatian Cuban Cypriot Czech Danish Dutch Ecuadorian Egyptian Emirati English Eritrean Estonian Ethiopian European
Filipino Finnish French Georgian German Ghanaian Greek Guatemalan Haitian Honduran Hungarian Icelandic Indian Indonesian
Iranian Iraqi Irish Israeli Italian Jamaican Japanese Jordanian Kazakh Kenyan Korean Kuwaiti Kyrgyz Laotian Latvian Lebanese
Libyan Lithuanian Luxembourgish Macedonian Malaysian Maltese Mexican Moldovan Mongolian Moroccan Mozambican Namibian Nepali
Nepalese Nicaraguan Nigerian Norwegian Omani Pakistani Palestinian Panamanian Paraguayan Peruvian Polish Portuguese Qatari
Romanian Russian Rwandan Salvadoran Saudi Scottish Senegalese Serbian Singaporean Slovak Slovenian Somali Spanish Sudanese
Swedish Swiss Syrian Taiwanese Tajik Tanzanian Thai Tibetan Tunisian Turkish Turkmen Ugandan Ukrainian Uruguayan Uzbek
Venezuelan Vietnamese Welsh Yemeni Zambian Zimbabwean Asian African Arab Kurdish Hispanic Latino Punjabi Tamil Telugu Bengali
Gujarati Marathi Malayali Kannadiga Hindu Muslim Christian Catholic Protestant Orthodox Buddhist Jewish Sikh Jain Parsi
Sunni Shia Atheist Mormon Lutheran Anglican Baptist Methodist Dalit Brahmin Maori Inuit Cherokee Republican Democrat
Conservative Socialist Communist Liberal Hindus Muslims Christians Catholics Buddhists Jews Sikhs Jains Americans Indians
Germans Italians Russians Mexicans Canadians Republicans Democrats Democratic Islamic
Andorran Angolan Antiguan Aruban Aussie Bahamian Barbadian Basotho Batswana Belizean Beninese Bermudian Bhutanese Botswanan Briton
Bruneian Burkinabe Burundian Caymanian Chadian Comorian Comoran Congolese Curaçaoan Dane Djiboutian Dominican Equatoguinean Eswatini
Faroese Fijian Finn Frenchman Frenchwoman Gabonese Gambian Gibraltarian Greenlandic Grenadian Guadeloupean Guamanian Guianese Guinean
Guyanese Herzegovinian Honduran Hongkonger Icelander Ivorian Kazakhstani  Kittitian Kiwi Kosovan Kosovar  Lesothan Liberian
Liechtensteiner Luxembourger Macanese Madagascan Malagasy Malawian Maldivian Malian Manx Marshallese Martinican Mauritanian Mauritian
Micronesian Monacan Monégasque Montenegrin Montserratian Motswana Myanmarese Nauruan Netherlander Nevisian Nigerien Niuean Palauan
Papuan Pole Polynesian Quebecois Québécois Réunionese Sahrawi Salvadorian Sammarinese Samoan Saotomean Scot Scots Seychellois Spaniard
Surinamese Swazi Swede Tajikistani Timorese Tobagonian Togolese Tongan Trinidadian Turk Tuvaluan Uighur Uyghur Uzbekistani Vanuatuan
Vincentian Zealander Yugoslav Soviet Czechoslovak Slavic Baltic Balkan Scandinavian Nordic Caribbean Balinese Javanese Cantonese Mandarin
Bavarian Prussian  Sicilian Tuscan Neapolitan Catalan Basque Galician Andalusian Breton Corsican Flemish Walloon Cornish Celtic
Gaelic Hawaiian Alaskan Texan Californian Parisian Londoner Yorker Romani  Sinti  Berber Amazigh Tuareg Yoruba Igbo Hausa Zulu
Xhosa Swahili Maasai Oromo Amhara Tigrayan Hutu Tutsi Pashtun Hazara Sindhi Baloch Kashmiri Assamese Odia Bihari Rajasthani Konkani
Manipuri   Gorkha  Bhojpuri Maithili Marwari    Maratha    Navajo Apache Sioux Mohawk Mayan
Aztec Aboriginal Latina Latinx Chicano Hispanics Latinos Asians Africans Europeans Arabs Kurds Turks Poles Swedes Danes Finns Scots Spaniards
Britons Greeks Serbs Serb Croats Croat Czechs Slovaks Romanians Ukrainians Australians Brazilians Pakistanis Nigerians Iranians Israelis
Palestinians Koreans Filipinos Filipina Tamils Punjabis Bengalis Gujaratis Egyptians Moroccans Belgians Austrians Hungarians Albanians
Christianity Islam Hinduism Buddhism Judaism Sikhism Jainism Zoroastrian Baháʼí Bahai Taoist Daoist Confucian Shinto Pagan Wiccan Agnostic
Evangelical Pentecostal Presbyterian Episcopalian Calvinist Quaker Amish Mennonite Adventist Unitarian Coptic Maronite Druze Ahmadi Ismaili
Sufi Wahhabi Salafi Hasidic Haredi Ashkenazi Sephardic Zionist   Lingayat Vaishnava Shaivite Theravada Mahayana Rastafarian
Jesuit Franciscan Dominican Benedictine Catholicism Atheists Mormons Protestants Baptists Methodists Lutherans Evangelicals Quakers
Tory Tories    Libertarian Libertarians Marxist Maoist Leninist Stalinist Trotskyist Fascist Nazi Anarchist Feminist
Conservatives Liberals Socialists Communists Labourite Peronist Chavista Gaullist Monarchist Nationalist Populist Unionist
Loyalist Separatist Naxalite Naxal Bolshevik Menshevik Christian-Democrat""".split()
NRP_PHRASES = """South African|South Korean|North Korean|New Zealander|Sri Lankan|Saudi Arabian|Costa Rican|Puerto Rican|El Salvadoran|
Sierra Leonean|Cape Verdean|East Timorese|Papua New Guinean|Solomon Islander|Trinidadian and Tobagonian|Saint Lucian|San Marinese|
South Sudanese|Central African|Equatorial Guinean|Northern Irish|Hong Kong Chinese|African American|African-American|Asian American|
Native American|Mexican-American|Indian-American|Irish American|British Indian|Anglo-Indian|Latin American|South Asian|East Asian|
Middle Eastern|Eastern European|West African|Roman Catholic|Greek Orthodox|Russian Orthodox|Seventh-day Adventist|Jehovah's Witness|
Latter-day Saint|Born-again Christian|Sunni Muslim|Shia Muslim|Social Democrat|Christian Democrat|Liberal Democrat|Green Party|
New Yorker|First Nations|Han Chinese|Burkinabé|Guinea-Bissauan|Bosnian Serb|Turkish Cypriot|Torres Strait Islander|Pacific Islander""".replace("\n", "").split("|")

MONTHS = "January February March April May June July August September October November December".split()
SHORT_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Sept Oct Nov Dec".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
SHORT_DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()

COMPANIES = """Google|Microsoft|Apple|Amazon|Facebook|Meta|Netflix|Tesla|IBM|Intel|Oracle|SAP|Siemens|Bosch|BMW|Volkswagen|Daimler|
Deutsche Bank|Commerzbank|Allianz|Lufthansa|Deutsche Telekom|Airbus|Boeing|Lockheed Martin|General Electric|General Motors|Ford|
Toyota|Honda|Nissan|Sony|Panasonic|Samsung|LG|Hyundai|Kia|Nokia|Ericsson|Volvo|IKEA|Spotify|Philips|Shell|BP|Unilever|Nestle|
Novartis|Roche|UBS|Credit Suisse|HSBC|Barclays|Lloyds|NatWest|Tesco|Sainsbury's|Vodafone|BT|Rolls-Royce|AstraZeneca|Pfizer|
Johnson & Johnson|Merck|Bayer|BASF|Sanofi|Renault|Peugeot|Total|BNP Paribas|Société Générale|Carrefour|L'Oréal|Danone|Orange|
Telefónica|Santander|BBVA|Inditex|Zara|Iberia|Eni|Enel|Fiat|Ferrari|UniCredit|Intesa Sanpaolo|PKO Bank Polski|Allegro|Tata Steel|
Tata Motors|Tata Consultancy Services|TCS|Infosys|Wipro|HCL|Tech Mahindra|Reliance Industries|Reliance Jio|Airtel|Bharti Airtel|
Mahindra & Mahindra|Maruti Suzuki|Bajaj Finance|HDFC Bank|ICICI Bank|State Bank of India|SBI|Axis Bank|Kotak Mahindra Bank|
Punjab National Bank|Bank of Baroda|Canara Bank|LIC|Larsen & Toubro|Adani Group|Aditya Birla Group|Godrej|ITC|Hindustan Unilever|
Asian Paints|Sun Pharma|Cipla|Dr. Reddy's|Biocon|Apollo Hospitals|Fortis Healthcare|AIIMS|Flipkart|Paytm|PhonePe|Swiggy|Zomato|Ola|
BYJU'S|Zerodha|Razorpay|Freshworks|Zoho|IndiGo|Air India|SpiceJet|ISRO|DRDO|ONGC|NTPC|BHEL|Indian Railways|Reserve Bank of India|
SEBI|IIT Bombay|IIT Madras|IIM Ahmedabad|Delhi University|Anna University|Walmart|Target|Costco|Starbucks|McDonald's|Burger King|
KFC|Subway|Pepsi|Coca-Cola|Nike|Adidas|Puma|Goldman Sachs|Morgan Stanley|JPMorgan Chase|JP Morgan|Bank of America|Wells Fargo|
Citibank|Citigroup|American Express|Visa|Mastercard|PayPal|Stripe|Uber|Lyft|Airbnb|Twitter|LinkedIn|Snapchat|TikTok|ByteDance|
Alibaba|Tencent|Huawei|Xiaomi|Baidu|Foxconn|Nvidia|AMD|Qualcomm|Cisco|Dell|HP|Lenovo|Asus|Acer|Salesforce|Adobe|GitHub|GitLab|
Dropbox|Slack|Zoom|Accenture|Deloitte|PwC|KPMG|Ernst & Young|McKinsey|FedEx|UPS|DHL|Maersk|AT&T|Verizon|T-Mobile|Comcast|Disney|
Warner Bros|Universal Music|BBC|CNN|Reuters|New York Times|Washington Post|The Guardian|Financial Times|Times of India|NASA|FBI|CIA|
NSA|FDA|WHO|UNICEF|UNESCO|United Nations|European Union|NATO|European Commission|World Bank|IMF|Red Cross|Amnesty International|
Greenpeace|Harvard University|Stanford University|MIT|Yale|Princeton University|Oxford University|University of Cambridge|ETH Zurich|
Sorbonne|Max Planck Institute|Mayo Clinic|Cleveland Clinic|NHS|Real Madrid|FC Barcelona|Manchester United|Liverpool FC|Bayern Munich|
Juventus|Mumbai Indians|Chennai Super Kings|Los Angeles Lakers|New York Yankees|Red Sox|Chicago Bulls|Mozilla|Wikipedia|Red Hat|
Supreme Court|Congress|Parliament|Labour Party|BJP|Ministry of Finance|Department of Justice|Home Office|Income Tax Department|
Department of Health|Scotland Yard|Interpol|Emirates|Etihad|Qatar Airways|Singapore Airlines|British Airways|Air France|KLM|Ryanair|
easyJet|Delta Air Lines|United Airlines|Marriott|Hilton|Hyatt|Taj Hotels|Oberoi|eBay|Yahoo|Reddit|Pinterest|Instagram|YouTube|
Wayfair|Etsy|Shopify|Booking.com|Expedia|TripAdvisor|Craigslist|Kickstarter|Patreon|Substack|Twitch|Discord|Telegram|Signal|Hulu|
HBO|Fox News|NBC|CBS|ABC News|Al Jazeera|Der Spiegel|Le Monde|El País|La Repubblica|The Economist|Bloomberg|Forbes|Vogue|Playboy|
Random House|Penguin Books|HarperCollins|Oxford University Press|Springer|Elsevier|Sotheby's|Christie's|Gucci|Prada|Chanel|Dior|Hermès|
Rolex|Swatch|Lego|Mattel|Hasbro|Nintendo|Sega|Ubisoft|Electronic Arts|Pixar|Paramount|Columbia Pictures|Lufthansa Cargo|Aldi|Lidl|Rewe|
Edeka|Auchan|Leclerc|Monoprix|Mercadona|El Corte Inglés|Esselunga|Albert Heijn|Migros|Coop|H&M|Primark|Uniqlo|Decathlon|Home Depot|Lowe's|
Best Buy|Macy's|Nordstrom|Sears|Kmart|Kroger|Safeway|Whole Foods|Trader Joe's|7-Eleven|Dunkin' Donuts|Domino's|Pizza Hut|Taco Bell|
Wendy's|Chipotle|Nando's|Pret A Manger|Greggs|Heineken|Carlsberg|Guinness|Bacardi|Red Bull|Kellogg's|Heinz|Kraft|Mars|Ferrero|Lindt|
Procter & Gamble|Colgate-Palmolive|Gillette|Nivea|3M|DuPont|Dow Chemical|ExxonMobil|Chevron|ConocoPhillips|Gazprom|Lukoil|Rosneft|
Saudi Aramco|Petrobras|Pemex|Statoil|Equinor|Repsol|TotalEnergies|EDF|Engie|E.ON|RWE|Vattenfall|Enron|Lehman Brothers|Bear Stearns|
BlackRock|Berkshire Hathaway|Charles Schwab|Fidelity|Vanguard|Blackstone|KKR|Carlyle Group|Bain Capital|Sequoia Capital|SoftBank|
Mitsubishi|Mitsui|Sumitomo|Hitachi|Toshiba|Fujitsu|NEC|Canon|Nikon|Olympus|Ricoh|Casio|Yamaha|Kawasaki|Suzuki|Mazda|Subaru|Isuzu|
Caterpillar|John Deere|Komatsu|Harley-Davidson|Ducati|Porsche|Audi|Mercedes-Benz|Skoda|Seat|Opel|Citroën|Michelin|Bridgestone|Pirelli|
Goodyear|Continental|ThyssenKrupp|ArcelorMittal|Rio Tinto|BHP|Glencore|Vale|Anglo American|De Beers|Monsanto|Syngenta|Cargill|
Bombardier|Embraer|Northrop Grumman|Raytheon|General Dynamics|BAE Systems|Thales|Saab|Dassault|SpaceX|Blue Origin|Virgin Atlantic|
Southwest Airlines|JetBlue|Aeroflot|Turkish Airlines|Cathay Pacific|Qantas|Air Canada|Aer Lingus|Wizz Air|Vueling|Alitalia|Finnair|
Amtrak|Deutsche Bahn|SNCF|Trenitalia|Renfe|Eurostar|Greyhound|Hertz|Avis|Sixt|Europcar|Blablacar|Hapag-Lloyd|Royal Mail|La Poste|
Deutsche Post|US Postal Service|Bell Labs|Xerox|Kodak|Polaroid|Motorola|BlackBerry|Sun Microsystems|Netscape|AOL|Compaq|Atari|
Commodore|Palantir|Snowflake|Databricks|OpenAI|DeepMind|Hugging Face|Cloudflare|Fastly|Akamai|Rackspace|DigitalOcean|Heroku|Twilio|
Okta|CrowdStrike|Symantec|McAfee|Kaspersky|Norton|Autodesk|Intuit|Workday|ServiceNow|VMware|Citrix|Canonical|SUSE|JetBrains|Atlassian|
Spotify Technology|SoundCloud|Sony Music|EMI|Motown|Def Jam|Gibson|Fender|Steinway|The Beatles|The Rolling Stones|Pink Floyd|Metallica|
Nirvana|Radiohead|Coldplay|Queen|ABBA|Arsenal|Chelsea|Tottenham Hotspur|Everton|Ajax|Benfica|Celtic|Inter Milan|AC Milan|AS Roma|
Borussia Dortmund|Paris Saint-Germain|Boca Juniors|River Plate|Flamengo|Boston Celtics|Golden State Warriors|Dallas Cowboys|
Green Bay Packers|New England Patriots|Pittsburgh Steelers|Toronto Maple Leafs|Boston Bruins|Kolkata Knight Riders|World Health Organization|
World Trade Organization|International Monetary Fund|Federal Reserve|European Central Bank|Bundesbank|Bank of England|Bundestag|
House of Commons|House of Representatives|Senate|Pentagon|White House|Kremlin|State Department|Treasury|Environmental Protection Agency|
Federal Trade Commission|Securities and Exchange Commission|Internal Revenue Service|IRS|SEC|FTC|EPA|FEMA|CDC|NIH|NSF|DARPA|MI5|MI6|GCHQ|
Mossad|KGB|Stasi|Europol|OPEC|ASEAN|OECD|UNHCR|Oxfam|Doctors Without Borders|Save the Children|Salvation Army|YMCA|Rotary Club|Boy Scouts|
Human Rights Watch|Electronic Frontier Foundation|Wikimedia Foundation|Linux Foundation|Apache Software Foundation|Free Software Foundation|
Linux Users Group|IEEE|ACM|W3C|IETF|ISO|Columbia University|Cornell|Duke University|Brown University|Dartmouth College|Caltech|UCLA|NYU|
UC Berkeley|Georgia Tech|Carnegie Mellon University|Johns Hopkins University|King's College London|Imperial College|London School of Economics|
Trinity College|McGill University|University of Toronto|Sciences Po|École Polytechnique|TU Berlin|Humboldt University|Heidelberg University|
Charles University|University of Vienna|Leiden University|KU Leuven|Karolinska Institutet|Lund University|Moscow State University|
Tsinghua University|Peking University|University of Tokyo|Kyoto University|National University of Singapore|Jawaharlal Nehru University|
Banaras Hindu University|IISc|BITS Pilani|Christ University|Aligarh Muslim University|Metropolitan Museum of Art|Louvre|British Museum|
Smithsonian Institution|Guggenheim Museum|Royal Opera House|La Scala|Berlin Philharmonic|Mount Sinai Hospital|Massachusetts General Hospital|
Charité|Great Ormond Street Hospital|Max Healthcare|Narayana Health|Manipal Hospitals|Medanta|Kaiser Permanente|Aetna|Cigna|Blue Cross|
UnitedHealth|Humana|AXA|Generali|Zurich Insurance|Munich Re|Swiss Re|Prudential|Aviva|MetLife|AIG|State Farm|Geico|Progressive|Allstate|
Revolut|Monzo|N26|Klarna|Wise|Western Union|MoneyGram|Binance|Coinbase|Kraken|Robinhood|ING|ABN AMRO|Rabobank|Nordea|Danske Bank|SEB|
Swedbank|Raiffeisen|Erste Bank|UBI Banca|CaixaBank|Crédit Agricole|Société Générale|Standard Chartered|Itaú|Bradesco|Scotiabank|
TD Bank|Capital One|US Bank|PNC|Fifth Third Bank|SunTrust|Yes Bank|IndusInd Bank|Federal Bank|Bandhan Bank|Bajaj Auto|Hero MotoCorp|
TVS Motor|Ashok Leyland|Britannia|Dabur|Marico|Amul|Patanjali|Haldiram's|Titan|Tanishq|Big Bazaar|DMart|Nykaa|Myntra|Meesho|Dunzo|
BookMyShow|MakeMyTrip|OYO|Byju's|Unacademy|Vedantu|Practo|PharmEasy|Lenskart|CRED|PolicyBazaar|Groww|Dream11|Hotstar|Zee|Star India|
NDTV|The Hindu|Indian Express|Hindustan Times|Dainik Bhaskar|Doordarshan|BSNL|MTNL|Vi|GAIL|SAIL|Coal India|Indian Oil|Bharat Petroleum|
EPFO|UIDAI|NITI Aayog|CBI|Lok Sabha|Rajya Sabha|Aam Aadmi Party|Congress Party|Shiv Sena|DMK|Republican Party|Democratic Party|CDU|SPD""".replace("\n", "").split("|")

SUFFIXES = """Inc|Inc.|LLC|Ltd|Ltd.|Limited|Pvt Ltd|Pvt. Ltd.|Private Limited|Corp|Corp.|Corporation|Co.|Company|PLC|plc|GmbH|AG|
GmbH & Co. KG|KG|e.V.|S.A.|SA|SARL|SAS|S.r.l.|S.p.A.|S.L.|Sp. z o.o.|B.V.|N.V.|AB|Oy|A/S|AS|Group|Holdings|Holding|Partners|LLP|
Associates|Enterprises|Industries|Technologies|Technology|Systems|Solutions|Software|Labs|Laboratories|Services|Consulting|
Consultants|Logistics|Trading|Traders|Exports|Foods|Motors|Pharma|Pharmaceuticals|Textiles|Constructions|Builders|Realty|Capital|
Ventures|Finance|Financial|Insurance|Bank|Media|Studios|Energy|Power|Steel|Chemicals|Electronics|Airlines|Hotels|Hospital|Clinic|
Foundation|Trust|Institute|Academy|College|University|School|and Sons|& Sons|Brothers|Bros.|International|Global|India""".replace("\n", "").split("|")

COINED = """Acme Globex Initech Umbrella Vertex Apex Zenith Orion Nova Quantum Pixel Cloud Blue Red Green Silver Golden Bright Smart
Swift Rapid Prime Alpha Beta Omega Delta Sigma Nexus Fusion Vector Matrix Summit Pinnacle Horizon Frontier Pioneer Evergreen
Sunrise Sunset Northern Southern Eastern Western Pacific Atlantic National First United General Standard Royal Imperial Crystal
Diamond Phoenix Falcon Eagle Lotus Shakti Surya Ganga Himalaya Shree Sri Maha Jai Bharat Hindustan Deccan Malabar Coastal
Metro Urban Rural Harvest Orchard River Lake Mountain Valley Forest Ocean Star Sky Solar Lunar Cyber Data Info Net Web Tele Micro
Macro Bio Medi Health Care Life Agro Auto Aero Trans Inter Multi Omni Uni Tri Pan Neo Zeta Krypton Helix Lumen Strata Veridian
Kestrel Marlin Tundra Cobalt Onyx Amber Ivory Juniper Cedar Willow Maple Birch""".split()

TRADES = """Bank|Hospital|Medical Center|General Hospital|Public School|High School|College|Institute of Technology|Museum|Police|
Municipal Corporation|City Council|Airport Authority|Chamber of Commerce|Cricket Club|FC|United|Times|Herald|Chronicle|Tribune|
Electricity Board|Development Authority|Metro Rail|Gas Company|Water Board|Co-operative Society|Library|Symphony Orchestra|
Insurance|Savings Bank|Community College|Law School|Business School|Zoo""".replace("\n", "").split("|")

ADDRESS_WORDS = """street st road rd avenue ave lane ln drive dr boulevard blvd court ct place square sq terrace way highway hwy circle
crescent close grove mews parkway pkwy trail plaza alley row walk apt apartment suite unit floor flat house block sector phase
plot nagar marg chowk vihar enclave colony puram pur layout extension cross main stage gali bazaar bagh salai veedhi strasse
straße str weg platz allee gasse rue chemin impasse quai cours calle avenida plaza paseo carrer carretera via viale piazza corso
vicolo ulica ul aleja al plac os straat laan plein gatan vägen vej gade rua travessa praça box ste bldg building tower towers
apartments residency heights society compound po pincode pin zip postal cedex piso hno dno near opp opposite behind""".split()

COUNTRY_EXTRA = """UK USA US UAE U.S. U.K. EU Britain England Scotland Wales Europe Asia Africa America Americas Oceania Antarctica
Scandinavia Holland Russia Iran Syria Vietnam Laos Bolivia Venezuela Tanzania Moldova Korea Palestine Taiwan Kosovo Kashmir
Catalonia Bavaria Saxony Brittany Normandy Tuscany Sicily Lombardy Andalusia Mazovia Silesia Punjab Kerala Goa Bihar Odisha Assam
Gujarat Karnataka Maharashtra Telangana Rajasthan Haryana Jharkhand Chhattisgarh Uttarakhand Manipur Meghalaya Mizoram Nagaland
Sikkim Tripura Ontario Quebec Alberta Manitoba Queensland Victoria Tasmania Bengal Sindh Balochistan Hesse Thuringia Crimea
Siberia Patagonia Balkans Caucasus Himalayas Alps Sahara Caribbean""".split()
COUNTRY_PHRASES = """Tamil Nadu|Andhra Pradesh|Uttar Pradesh|Madhya Pradesh|Himachal Pradesh|Arunachal Pradesh|West Bengal|
Jammu and Kashmir|New South Wales|British Columbia|Nova Scotia|South Korea|North Korea|Middle East|Latin America|South America|
North America|South East Asia|Western Europe|Eastern Europe|Lower Saxony|North Rhine-Westphalia|Silicon Valley|Bay Area|
Northern Ireland|Great Britain|Ivory Coast|Sri Lanka|Hong Kong|Puerto Rico|the Netherlands|the Philippines|the Gulf""".replace("\n", "").split("|")

THINGS = """order invoice ticket refund parcel laptop phone password account report contract meeting flight booking payment
subscription policy claim loan deposit application form file document server database backup printer router charger headset
chair desk sofa fridge oven jacket shoes book guitar camera bicycle car scooter ticket visa permit licence passport prescription
appointment scan test sample result diagnosis interview offer salary bonus leave timesheet project budget plan draft review
release build patch bug feature deployment cluster pipeline dashboard""".split()

PRODUCTS = """Galaxy S21|iPhone 13|ThinkPad X1|Windows 11|Office 365|Photoshop|Kindle|PlayStation 5|Model 3|Corolla|Swift Dzire|
Python 3.12|Java 17|Kubernetes|Docker|PostgreSQL|Redis|React|Ubuntu 22.04|Excel|Outlook|Teams|WhatsApp|Gmail|Chrome|Firefox|
Bluetooth|Wi-Fi|USB-C|HDMI|Premium Plan|Gold Plan|Basic Plan|Pro Max|Jira|Confluence|Terraform|Ansible|Jenkins|Grafana|Linux|
Android|TensorFlow|NumPy|Node.js|TypeScript|GraphQL|OAuth|Kafka|Nginx""".replace("\n", "").split("|")

# Ordinary sentences without names, so that capitals alone do not make one.
PLAIN = """Thanks a lot for your help!|Please let me know if you need anything else.|I will get back to you soon.|Have a great day.|
Can you look into this?|It is quite urgent.|The rest is fine.|Sorry for the trouble.|No problem at all.|See attached.|Best regards|
Kind regards|Yours sincerely|Sounds good.|Will do.|The app crashed again after the update.|I tried twice and it still fails.|
Could you confirm?|Nothing has changed since then.|We are still waiting for an answer.|Everything else looks correct.|
That was not what I asked for.|Let me check and call you back.|Hope this helps!|What do you think?|Is this still available?|
The function returns a list of strings.|Use the flag to disable caching.|First, open the settings page.|Then click Save.|
Note that the value must be positive.|In summary, there are three options.|Here is a short overview of the steps.|
How do I reset my password?|Why is the build failing on the main branch?|Write a poem about the sea.|Explain how vaccines work.|
Summarise the following text in two sentences.|Translate this paragraph into simple words.|Compare both approaches in a table.|
The weather was nice, so we went for a walk.|Dinner is at eight.|Remember to bring your badge.|All tests passed.|
The deadline was moved to next week.|Step 1: install the package.|Error: connection refused|WARNING: disk almost full|
Status: resolved|Priority: High|Subject: Re: your request|Terms and Conditions apply.|This Agreement is made between the parties.|
Section 4 applies.|Happy Birthday!|Merry Christmas and a Happy New Year!|Good Morning Team,|Dear Sir or Madam,|To whom it may concern,|
Dear Customer,|Hello everyone,|Good evening!|Yes, that works for me.|OK.|Great, thanks.|I don't think so.|Maybe later.|
The Board met and approved the plan.|Our Sales Team will contact you.|Customer Support is closed on weekends.|
Your Account Number and PIN are confidential.|Please enter your First Name and Last Name.|Click on Forgot Password.|
The Quick Start Guide explains how to Create a New Project.|Returns are free within 30 days.|Order 4711 was shipped today.|
Add two cups of flour and one egg.|Bake for 45 minutes at 180 degrees.|The train leaves at 7:45 from platform 9.|
Version 2.4.1 fixes 12 bugs.|Total: 1,299.00 incl. VAT|Room 204 is free.|It costs 35 euros.|About 60 percent agreed.|
I have 3 questions.|There were 24 people in the room.|Only 18 seats are left.|Chapter 7 was the best one.|Page 42 is missing.|
Turn left after 300 metres.|The meeting took 90 minutes.|I waited for 40 minutes on the phone.|We need 12 chairs and 3 tables.|
My internet speed is 50 Mbps.|Battery at 20 percent.|The file has 65 lines.|Use port 8080 instead of 80.""".replace("\n", "").split("|")


# Parts of institutions' names.
FIELDS = """Health|Education|Defence|Justice|Agriculture|Labour|Transport|Energy|Finance|Foreign Affairs|Home Affairs|Interior|Environment|
Science|Technology|Social Welfare|Housing|Culture|Tourism|Commerce|Statistics|Human Rights|Public Works|Water Resources|Medical Sciences|
Arts|Engineering|Management|Law|Music|Economics|Cancer Research|Mental Health|Standards|Aviation|Fisheries|Forestry|Sports|Taxation|
Revenue|Immigration|Customs|Veterans Affairs""".replace("\n", "").split("|")
BODIES = """Ministry of|Department of|National Institute of|Institute of|Bureau of|Office of|School of|Academy of|College of|Directorate of|
Faculty of|Royal Society of|Centre for|Center for|Council of|Federation of|Association of|Agency for|Commission on|Foundation for|
Committee on""".replace("\n", "").split("|")
NATIONS = """American British Canadian Indian European International National Royal Federal World Global African Asian Australian German French
Italian Spanish Dutch Swiss Swedish Norwegian Danish Finnish Irish Scottish Welsh Polish Israeli Turkish Mexican Brazilian Japanese
Korean""".split()
SOCIETIES = """Red Crescent|Cancer Society|Heart Association|Medical Association|Bar Association|Space Agency|Football Association|
Olympic Committee|Broadcasting Corporation|Press Association|Research Council|Library|Museum|Ballet|Theatre|Geographic Society|Weather Service|
Police|Navy|Air Force|Army|Coast Guard|Lottery|Steel|Telecom|Airlines|Airways|Railways|Gas|Post|Gallery|Trust|Union|Chess Federation|
Dental Association|Chamber of Commerce""".replace("\n", "").split("|")
GOODS = """Coffee|Books|Bakery|Cafe|Café|Pizza|Grill|Diner|Bistro|Pub|Hotel|Inn|Resort|Motors|Auto|Cycles|Tyres|Garage|Cleaners|Laundry|Florist|
Flowers|Jewellers|Jewelers|Optics|Pharmacy|Dental|Clinic|Law|Legal|Realty|Properties|Homes|Builders|Roofing|Plumbing|Electric|Heating|
Landscaping|Furniture|Fashion|Boutique|Shoes|Sports|Fitness|Gym|Yoga|Spa|Salon|Toys|Games|Comics|Records|Music|Films|Pictures|Press|
Publishing|Photography|Design|Studio|Digital|Robotics|AI|Analytics|Security|Networks|Cloud|Telecom|Mobile|Airlines|Air|Cargo|Shipping|
Freight|Transport|Cabs|Travel|Tours|Farms|Dairy|Meats|Seafood|Wines|Brewery|Brewing|Beverages|Chocolate|Organics|Cosmetics|Health|
Biotech|Genomics|Therapeutics|Medical|Oil|Gas|Solar|Mining|Metals|Paper|Plastics|Glass|Cement|Paints|Tools|Machinery|Aerospace|
Defense|Marine|Credit Union|Savings|Mutual|Equity|Advisors|Wealth|Investments|Brokers|Payments|Church|Mosque|Temple|Orphanage|
Choir|Band|Orchestra|Party|Union|Journal|Post|News|Gazette|Radio|TV|Magazine""".replace("\n", "").split("|")
CERTIFICATES = ["MD", "M.D.", "PhD", "Ph.D.", "DDS", "DVM", "Jr.", "Jr", "Sr.", "II", "III", "IV", "Esq.", "CPA", "RN", "MBA", "MBBS", "JD", "QC"]
