// All texts of the page, by language. To translate it: copy `en`, name it by its language tag, translate the right
// sides. `{name}` is put in; a text with `one` and `other` depends on a number. It formats dates and sizes, too.

const en = {
	app: 'Postrider', login: 'Log in', logout: 'Log out', address: 'Address', password: 'Password', code: 'Code from your app', loginTitle: 'Log in to your mail',
	loginFailed: 'Address or password is wrong.', loginCode: 'Enter the code that your app shows.', noNetwork: 'The server can\'t be reached.', loginOther: 'Log-in failed: {detail}',
	folders: 'Folders', messages: 'Messages', message: 'Message', skipList: 'Skip to the messages', compose: 'Write', searchMail: 'Search mail', search: 'Search',
	showFolders: 'Show folders', back: 'Back', more: 'More', close: 'Close', cancel: 'Cancel', ok: 'OK', save: 'Save', undo: 'Undo',
	inbox: 'Inbox', drafts: 'Drafts', sent: 'Sent', archive: 'Archive', junk: 'Junk', trash: 'Trash', important: 'Important', flagged: 'Flagged', all: 'All mail',
	unreadCount: { one: '{n} unread', other: '{n} unread' }, messageCount: { one: '{n} message', other: '{n} messages' }, conversations: { one: '{n} conversation', other: '{n} conversations' },
	emptyFolder: 'Nothing in here.', emptySearch: 'Nothing found.', nothingOpen: 'Choose a message to read it.', loading: 'Loading …', noSubject: '(no subject)', noSender: '(no sender)',
	unread: 'unread', attachment: 'attachment', starred: 'flagged', selected: { one: '{n} selected', other: '{n} selected' }, selectAll: 'Select all that are loaded', selectNone: 'Select none', select: 'Select',
	to: 'To', cc: 'Cc', bcc: 'Bcc', from: 'From', subject: 'Subject', toMe: 'to {names}', draft: 'Draft', me: 'me',
	settings: 'Settings', keys: 'Keys', theme: 'Colours', themeAuto: 'Like the system', themeLight: 'Light', themeDark: 'Dark', language: 'Language',
	offline: 'No connection. What you have read before can be read.', online: 'Connected again.', failed: 'That didn\'t work: {detail}', refresh: 'Look for new mail',
	movedTo: { one: '{n} message moved to {folder}', other: '{n} messages moved to {folder}' }, destroyed: { one: '{n} message deleted for good', other: '{n} messages deleted for good' },
	doArchive: 'Archive', doDelete: 'Delete', doDestroy: 'Delete for good', doNotJunk: 'Not junk', doUnread: 'Read or unread', doFlag: 'Flag', doMove: 'Move to …', selection: 'Selected messages',
	sureDestroy: { one: 'This message will be gone for good.', other: 'These {n} messages will be gone for good.' }, noFolder: 'There is no folder for {folder}.',
	reply: 'Reply', replyAll: 'Reply to all', forward: 'Forward', searchHelp: 'from: to: subject: has:attachment before: after: in: is:unread narrow the search',
	keyNext: 'Next', keyPrevious: 'Previous', keyOpen: 'Open', keyBack: 'Back to the list', keyJunk: 'Junk or not junk',
	keyNextInThread: 'Next in the conversation', keyPreviousInThread: 'Previous in the conversation',
	keyGoFolders: 'Go to the folders', keyGoList: 'Go to the messages',
	date: 'Date', replyTo: 'Reply to', editDraft: 'Go on writing', unflag: 'Take the flag off', markUnreadFrom: 'Unread from here', print: 'Print', source: 'Source', downloadMessage: 'Save as a file',
	doDeleteOne: 'Delete this message', unsubscribe: 'Unsubscribe', isList: 'This is from a mailing list.', invitation: 'Invitation', cancelled: 'Cancelled', when: 'When', where: 'Where', repeats: 'Repeats',
	attendees: 'With', truncated: 'The rest of this message was too long; save it as a file to read all.', noText: 'This message has no text.', messageText: 'Text of the message',
	imagesOff: { one: '{n} picture from elsewhere is not loaded, so that the sender does not learn that you read this.', other: '{n} pictures from elsewhere are not loaded, so that the sender does not learn that you read this.' },
	showImages: 'Show them', attachments: 'Attachments', conversation: 'Conversation', notKept: 'This was not kept for reading without connection.',
	oddLink: 'Do you know this place?', oddLink_elsewhere: 'The link says one place and leads to another:', oddLink_letters: 'The name of this place has letters that can look like others:', oddLink_userinfo: 'The name at the beginning is not where this link leads:', openAnyway: 'Open it',
	unsubscribe_click: 'The server tells the list that you want no more of it ({address}).', unsubscribe_mail: 'You can send the list a mail that says so ({address}).', unsubscribe_page: 'The list has a page for this, which opens in a new window ({address}).', unsubscribed: 'The list was told.',
	text: 'Text', format: 'Format', bold: 'Bold', italic: 'Italic', underline: 'Underlined', bullets: 'List', numbers: 'Numbered list', quoteMore: 'Quote', unformat: 'Remove the format', link: 'Link', insertImage: 'Put an image in',
	suggestions: 'Suggestions', removeAddress: 'Remove {name}', newMessage: 'New message', forwarded: 'Forwarded message', wrote: 'On {date}, {name} wrote:', ccBcc: 'Cc, Bcc', closeDraft: 'Close and keep the draft',
	send: 'Send', sendLater: 'Send later', attach: 'Attach files', makePlain: 'Plain text', makeRich: 'Rich text', losesFormat: 'The text loses its format.', discard: 'Discard', sureDiscard: 'What you have written will be gone.',
	saving: 'Saving …', draftSaved: 'Draft saved', notSaved: 'Draft not saved', closeAnyway: 'The draft could not be saved. Close it anyway?', tooLarge: '{name} is too large; {size} is the most.', notUploaded: '{name} could not be uploaded.', uploading: 'Uploading {name}',
	noRecipients: 'To whom?', wrongAddress: '{address} can\'t be an address.', noSubjectYet: 'No subject', sendWithout: 'Send it without a subject?', nothingAttached: 'Nothing is attached', nothingAttachedText: 'The text speaks of an attachment. Send it without one?',
	tomorrowMorning: 'Tomorrow morning', tomorrowEvening: 'Tomorrow evening', mondayMorning: 'Monday morning', schedule: 'Send then', sentIt: 'Sent.', willBeSent: 'It will be sent on {date}.', willBeSentHere: 'This page will send it on {date}; it has to be open then.', cantSend: 'This server sends no mail for you.', loggedOut: 'You were logged out. Log in again in another window, then go on here.', tooLate: 'It has left already.', dontSend: 'Don\'t send it',
	thisBrowser: 'This browser', undoTime: 'Time to take a sent message back', noUndo: 'None', writePlain: 'Write plain text', alwaysImages: 'Always show pictures from elsewhere', alwaysImagesHelp: 'Senders then learn that you read them, and when.',
	notifications: 'Tell of new mail', identities: 'Identities', name: 'Name', signature: 'Signature', saved: 'Saved.', vacation: 'Answer while you are away', vacationOn: 'Answer who writes', vacationTo: 'Until',
	newMail: { one: '{n} new message', other: '{n} new messages' }, darkOrLight: 'Dark or light', newFolder: 'New folder', newFolderIn: 'New folder in here', renameFolder: 'Rename this folder', deleteFolder: 'Delete this folder', folderNotEmpty: 'Only an empty folder can be deleted.', markAllRead: 'All loaded are read', emptyThis: 'Empty this folder',
	jWhere: 'Where is my mail?', jHow: 'How did this reach me?', jNothing: 'The server knows nothing of its way (any more).', jLive: 'It is under way. This picture goes on by itself.', jYou: 'You', jServer: 'a mail server',
	jOpen: 'over a connection without encryption', jTls: 'over an encrypted connection', jChecked: 'over an encrypted connection whose certificate was checked', jMade: 'Written by this server.', jFromYou: 'Taken from you, {tls}.', jFrom: 'Taken from {host}, {tls}.',
	jCameBy: 'It was sent to {address}, which leads to you.', jAlias: '{address} leads to others.', jFolder: 'Put into {folder}.', jBox: 'Put into the mailbox of {address}.', jHeld: 'Leaves on {date}. Until then you can take it back.', jQueued: 'Goes out to {host}.', jNullMx: '{host} takes no mail.', jNoDomain: 'There is no {host}.', jNoWay: 'No way to {host} was found.', jRoute: '{host} takes its mail at {name}.',
	jNotTaken: '{host} did not take it: “{words}”.', jUnreached: '{host} could not be reached: {words}.', jLater: '{host} asked us to come back later: “{words}”.', jWaits: 'It has to wait: {words}.', jNext: 'Next try {soon}.', jRelayed: 'Handed to {host}, {tls}.', jRefused: '{host} refused it: “{words}”.', jFailed: 'It could not be delivered: {words}.', jExpired: 'Given up after many tries: {words}.',
	jTold: 'You were told by mail.', jAnswered: 'The sender was told that you are away.', jNotAnswered: 'The sender was not told that you are away: {words}', jOperator: 'The operator of this server: {action}.', jState_accepted: 'Accepted', jState_waiting: 'Waiting', jState_delivered: 'In the mailbox', jState_relayed: 'Handed over', jState_bounced: 'Came back', jState_expired: 'Given up', jState_discarded: 'Thrown away',
	jHop: '{by} took it from {from}, {tls}.', jClaimed: 'The way before this server, as others tell it:', jHere: 'At this server:', jIsIt: 'Is it from whom it says?', jPass: '{what} of {who}: right', jFail: '{what} of {who}: wrong', jUnknown: '{what} of {who}: nothing certain', jAuth_spf: 'Sending server (SPF)', jAuth_dkim: 'Signature (DKIM)', jAuth_dmarc: 'Sender’s address (DMARC)',
	security: 'Security', secondFactor: 'Second factor', appPasswords: 'App passwords', sessions: 'Where you are logged in', passwordNow: 'Password now', passwordNew: 'New password', passwordAgain: 'New password once more',
	loginPasskey: 'Log in with a passkey', passkeys: 'Passkeys', passkeyNew: 'New passkey', passkeyFailed: 'The device gave no passkey that is good here.',
	passkeysHelp: 'A device that lets you in by its PIN, your finger or your face, without password and code.', passkeyName: 'For passkeys, open this page by the server\'s name, on this very machine as localhost.',
	notTheSame: 'The two new passwords are not the same.', passwordChanged: 'The password is changed, and all other sessions are over.', wrongPassword: 'The password is wrong.', wrongCode: 'The code is wrong. Look whether the clock is right, and try the next one.',
	secondFactorHelp: 'The log-in then also asks for a code from an app. Mail programs need app passwords then.', secondFactorOn: 'Set it up', secondFactorOff: 'Switch it off', secondFactorIsOn: { one: 'It is on. {n} recovery code is left.', other: 'It is on. {n} recovery codes are left.' },
	scanThis: 'Scan this with the app, or type it there; then enter the code that it shows.', recoveryCodes: 'Recovery codes', recoveryHelp: 'Each is good once in the place of a code. Keep them where you find them without the device.', seenOnce: 'You see this only once.',
	appPasswordsHelp: 'One for each program or device, which can be taken back by itself.', appPasswordNew: 'New app password', made: 'made {date}', appPasswordName: 'What it is for', revoke: 'Take back', sureRevoke: '{name} can log in no more.', lastUse: 'last used {date} from {from}', neverUsed: 'never used',
	thisSession: 'this one', endSession: 'End', endOthers: 'End all others',
};

const de = {
	app: 'Postrider', login: 'Anmelden', logout: 'Abmelden', address: 'Adresse', password: 'Passwort', code: 'Code aus Ihrer App', loginTitle: 'Bei Ihrer Post anmelden',
	loginFailed: 'Adresse oder Passwort ist falsch.', loginCode: 'Geben Sie den Code ein, den Ihre App zeigt.', noNetwork: 'Der Server ist nicht zu erreichen.', loginOther: 'Anmelden ging nicht: {detail}',
	folders: 'Ordner', messages: 'Nachrichten', message: 'Nachricht', skipList: 'Zu den Nachrichten springen', compose: 'Schreiben', searchMail: 'Post durchsuchen', search: 'Suche',
	showFolders: 'Ordner zeigen', back: 'Zurück', more: 'Mehr', close: 'Schließen', cancel: 'Abbrechen', ok: 'OK', save: 'Speichern', undo: 'Rückgängig',
	inbox: 'Posteingang', drafts: 'Entwürfe', sent: 'Gesendet', archive: 'Archiv', junk: 'Spam', trash: 'Papierkorb', important: 'Wichtig', flagged: 'Markiert', all: 'Alle Post',
	unreadCount: { one: '{n} ungelesen', other: '{n} ungelesen' }, messageCount: { one: '{n} Nachricht', other: '{n} Nachrichten' }, conversations: { one: '{n} Unterhaltung', other: '{n} Unterhaltungen' },
	emptyFolder: 'Hier ist nichts.', emptySearch: 'Nichts gefunden.', nothingOpen: 'Wählen Sie eine Nachricht zum Lesen.', loading: 'Lädt …', noSubject: '(kein Betreff)', noSender: '(kein Absender)',
	unread: 'ungelesen', attachment: 'Anhang', starred: 'markiert', selected: { one: '{n} ausgewählt', other: '{n} ausgewählt' }, selectAll: 'Alle geladenen auswählen', selectNone: 'Keine auswählen', select: 'Auswählen',
	to: 'An', cc: 'Kopie', bcc: 'Blindkopie', from: 'Von', subject: 'Betreff', toMe: 'an {names}', draft: 'Entwurf', me: 'mich',
	settings: 'Einstellungen', keys: 'Tasten', theme: 'Farben', themeAuto: 'Wie das System', themeLight: 'Hell', themeDark: 'Dunkel', language: 'Sprache',
	offline: 'Keine Verbindung. Was Sie schon gelesen haben, können Sie lesen.', online: 'Wieder verbunden.', failed: 'Das ging nicht: {detail}', refresh: 'Nach neuer Post sehen',
	movedTo: { one: '{n} Nachricht nach {folder} verschoben', other: '{n} Nachrichten nach {folder} verschoben' }, destroyed: { one: '{n} Nachricht endgültig gelöscht', other: '{n} Nachrichten endgültig gelöscht' },
	doArchive: 'Archivieren', doDelete: 'Löschen', doDestroy: 'Endgültig löschen', doNotJunk: 'Kein Spam', doUnread: 'Gelesen oder ungelesen', doFlag: 'Markieren', doMove: 'Verschieben nach …', selection: 'Ausgewählte Nachrichten',
	sureDestroy: { one: 'Diese Nachricht ist dann endgültig weg.', other: 'Diese {n} Nachrichten sind dann endgültig weg.' }, noFolder: 'Es gibt keinen Ordner für {folder}.',
	reply: 'Antworten', replyAll: 'Allen antworten', forward: 'Weiterleiten', searchHelp: 'from: to: subject: has:attachment before: after: in: is:unread grenzen die Suche ein',
	keyNext: 'Nächste', keyPrevious: 'Vorige', keyOpen: 'Öffnen', keyBack: 'Zurück zur Liste', keyJunk: 'Spam oder kein Spam',
	keyNextInThread: 'Nächste der Unterhaltung', keyPreviousInThread: 'Vorige der Unterhaltung',
	keyGoFolders: 'Zu den Ordnern', keyGoList: 'Zu den Nachrichten',
	date: 'Datum', replyTo: 'Antwort an', editDraft: 'Weiterschreiben', unflag: 'Markierung entfernen', markUnreadFrom: 'Ab hier ungelesen', print: 'Drucken', source: 'Quelltext', downloadMessage: 'Als Datei sichern',
	doDeleteOne: 'Diese Nachricht löschen', unsubscribe: 'Abbestellen', isList: 'Das kommt von einem Verteiler.', invitation: 'Einladung', cancelled: 'Abgesagt', when: 'Wann', where: 'Wo', repeats: 'Wiederholt sich',
	attendees: 'Mit', truncated: 'Der Rest war zu lang; sichern Sie die Nachricht als Datei, um alles zu lesen.', noText: 'Diese Nachricht hat keinen Text.', messageText: 'Text der Nachricht',
	imagesOff: { one: '{n} Bild von anderswo ist nicht geladen, damit der Absender nicht erfährt, dass Sie dies lesen.', other: '{n} Bilder von anderswo sind nicht geladen, damit der Absender nicht erfährt, dass Sie dies lesen.' },
	showImages: 'Zeigen', attachments: 'Anhänge', conversation: 'Unterhaltung', notKept: 'Das wurde nicht für das Lesen ohne Verbindung aufgehoben.',
	oddLink: 'Kennen Sie diesen Ort?', oddLink_elsewhere: 'Der Link nennt einen Ort und führt zu einem anderen:', oddLink_letters: 'Der Name dieses Ortes hat Buchstaben, die wie andere aussehen können:', oddLink_userinfo: 'Der Name am Anfang ist nicht der Ort, zu dem dieser Link führt:', openAnyway: 'Öffnen',
	unsubscribe_click: 'Der Server sagt dem Verteiler, dass Sie nichts mehr von ihm möchten ({address}).', unsubscribe_mail: 'Sie können dem Verteiler eine Mail schicken, die das sagt ({address}).', unsubscribe_page: 'Der Verteiler hat eine Seite dafür, die in einem neuen Fenster aufgeht ({address}).', unsubscribed: 'Der Verteiler weiß es.',
	text: 'Text', format: 'Format', bold: 'Fett', italic: 'Kursiv', underline: 'Unterstrichen', bullets: 'Liste', numbers: 'Nummerierte Liste', quoteMore: 'Zitat', unformat: 'Format entfernen', link: 'Link', insertImage: 'Bild einfügen',
	suggestions: 'Vorschläge', removeAddress: '{name} entfernen', newMessage: 'Neue Nachricht', forwarded: 'Weitergeleitete Nachricht', wrote: 'Am {date} schrieb {name}:', ccBcc: 'Kopie, Blindkopie', closeDraft: 'Schließen und den Entwurf behalten',
	send: 'Senden', sendLater: 'Später senden', attach: 'Dateien anhängen', makePlain: 'Nur Text', makeRich: 'Mit Format', losesFormat: 'Der Text verliert sein Format.', discard: 'Verwerfen', sureDiscard: 'Was Sie geschrieben haben, ist dann weg.',
	saving: 'Sichert …', draftSaved: 'Entwurf gesichert', notSaved: 'Entwurf nicht gesichert', closeAnyway: 'Der Entwurf konnte nicht gesichert werden. Trotzdem schließen?', tooLarge: '{name} ist zu groß; höchstens {size}.', notUploaded: '{name} konnte nicht hochgeladen werden.', uploading: '{name} wird hochgeladen',
	noRecipients: 'An wen?', wrongAddress: '{address} kann keine Adresse sein.', noSubjectYet: 'Kein Betreff', sendWithout: 'Ohne Betreff senden?', nothingAttached: 'Nichts angehängt', nothingAttachedText: 'Der Text spricht von einem Anhang. Ohne senden?',
	tomorrowMorning: 'Morgen früh', tomorrowEvening: 'Morgen Abend', mondayMorning: 'Montag früh', schedule: 'Dann senden', sentIt: 'Gesendet.', willBeSent: 'Wird am {date} gesendet.', willBeSentHere: 'Diese Seite sendet es am {date}; sie muss dann offen sein.', cantSend: 'Dieser Server verschickt keine Post für Sie.', loggedOut: 'Sie wurden abgemeldet. Melden Sie sich in einem anderen Fenster neu an, dann geht es hier weiter.', tooLate: 'Es ist schon weg.', dontSend: 'Nicht senden',
	thisBrowser: 'Dieser Browser', undoTime: 'Zeit, Gesendetes zurückzuholen', noUndo: 'Keine', writePlain: 'Ohne Format schreiben', alwaysImages: 'Bilder von anderswo immer zeigen', alwaysImagesHelp: 'Absender erfahren dann, dass und wann Sie lesen.',
	notifications: 'Neue Post melden', identities: 'Identitäten', name: 'Name', signature: 'Signatur', saved: 'Gesichert.', vacation: 'Antworten, während Sie weg sind', vacationOn: 'Allen antworten, die schreiben', vacationTo: 'Bis',
	newMail: { one: '{n} neue Nachricht', other: '{n} neue Nachrichten' }, darkOrLight: 'Dunkel oder hell', newFolder: 'Neuer Ordner', newFolderIn: 'Neuer Ordner hierin', renameFolder: 'Diesen Ordner umbenennen', deleteFolder: 'Diesen Ordner löschen', folderNotEmpty: 'Nur ein leerer Ordner kann gelöscht werden.', markAllRead: 'Alle geladenen sind gelesen', emptyThis: 'Diesen Ordner leeren',
	jWhere: 'Wo ist meine Mail?', jHow: 'Wie kam das zu mir?', jNothing: 'Der Server weiß nichts (mehr) von ihrem Weg.', jLive: 'Sie ist unterwegs. Dieses Bild geht von selbst weiter.', jYou: 'Sie', jServer: 'ein Mailserver',
	jOpen: 'über eine Verbindung ohne Verschlüsselung', jTls: 'über eine verschlüsselte Verbindung', jChecked: 'über eine verschlüsselte Verbindung mit geprüftem Zertifikat', jMade: 'Von diesem Server geschrieben.', jFromYou: 'Von Ihnen angenommen, {tls}.', jFrom: 'Von {host} angenommen, {tls}.',
	jCameBy: 'Sie ging an {address}, das zu Ihnen führt.', jAlias: '{address} führt zu anderen.', jFolder: 'In {folder} gelegt.', jBox: 'In das Postfach von {address} gelegt.', jHeld: 'Geht am {date} hinaus. Bis dahin können Sie sie zurückholen.', jQueued: 'Geht hinaus zu {host}.', jNullMx: '{host} nimmt keine Mail an.', jNoDomain: '{host} gibt es nicht.', jNoWay: 'Kein Weg zu {host} war zu finden.', jRoute: '{host} nimmt seine Mail bei {name} an.',
	jNotTaken: '{host} nahm sie nicht an: „{words}“.', jUnreached: '{host} war nicht zu erreichen: {words}.', jLater: '{host} bat uns, später wiederzukommen: „{words}“.', jWaits: 'Sie muss warten: {words}.', jNext: 'Nächster Versuch {soon}.', jRelayed: 'An {host} übergeben, {tls}.', jRefused: '{host} lehnte sie ab: „{words}“.', jFailed: 'Sie war nicht zuzustellen: {words}.', jExpired: 'Nach vielen Versuchen aufgegeben: {words}.',
	jTold: 'Sie bekamen eine Mail darüber.', jAnswered: 'Der Absender erfuhr, dass Sie weg sind.', jNotAnswered: 'Der Absender erfuhr nicht, dass Sie weg sind: {words}', jOperator: 'Der Betreiber dieses Servers: {action}.', jState_accepted: 'Angenommen', jState_waiting: 'Wartet', jState_delivered: 'Im Postfach', jState_relayed: 'Übergeben', jState_bounced: 'Kam zurück', jState_expired: 'Aufgegeben', jState_discarded: 'Weggeworfen',
	jHop: '{by} nahm sie von {from} an, {tls}.', jClaimed: 'Der Weg vor diesem Server, wie andere ihn erzählen:', jHere: 'An diesem Server:', jIsIt: 'Ist sie, von wem sie sagt?', jPass: '{what} von {who}: stimmt', jFail: '{what} von {who}: stimmt nicht', jUnknown: '{what} von {who}: nichts Sicheres', jAuth_spf: 'Sendender Server (SPF)', jAuth_dkim: 'Unterschrift (DKIM)', jAuth_dmarc: 'Absenderadresse (DMARC)',
	security: 'Sicherheit', secondFactor: 'Zweiter Faktor', appPasswords: 'App-Passwörter', sessions: 'Wo Sie angemeldet sind', passwordNow: 'Jetziges Passwort', passwordNew: 'Neues Passwort', passwordAgain: 'Neues Passwort noch einmal',
	loginPasskey: 'Mit Passkey anmelden', passkeys: 'Passkeys', passkeyNew: 'Neuer Passkey', passkeyFailed: 'Das Gerät gab keinen Passkey, der hier gilt.',
	passkeysHelp: 'Ein Gerät, das Sie mit PIN, Finger oder Gesicht anmeldet, ohne Passwort und Code.', passkeyName: 'Für Passkeys öffnen Sie diese Seite unter dem Namen des Servers, auf diesem Gerät als localhost.',
	notTheSame: 'Die beiden neuen Passwörter sind nicht gleich.', passwordChanged: 'Das Passwort ist geändert, alle anderen Sitzungen sind beendet.', wrongPassword: 'Das Passwort ist falsch.', wrongCode: 'Der Code ist falsch. Prüfen Sie die Uhr des Geräts und nehmen Sie den nächsten.',
	secondFactorHelp: 'Die Anmeldung fragt dann auch nach einem Code aus einer App. Mailprogramme brauchen dann App-Passwörter.', secondFactorOn: 'Einrichten', secondFactorOff: 'Abschalten', secondFactorIsOn: { one: 'Er ist an. {n} Ersatzcode ist übrig.', other: 'Er ist an. {n} Ersatzcodes sind übrig.' },
	scanThis: 'Lesen Sie das mit der App ein oder tippen Sie es dort; geben Sie dann den Code ein, den sie zeigt.', recoveryCodes: 'Ersatzcodes', recoveryHelp: 'Jeder gilt einmal anstelle eines Codes. Bewahren Sie sie dort auf, wo Sie sie ohne das Gerät finden.', seenOnce: 'Das sehen Sie nur dieses eine Mal.',
	appPasswordsHelp: 'Eines für jedes Programm oder Gerät, das sich einzeln zurücknehmen lässt.', appPasswordNew: 'Neues App-Passwort', made: 'angelegt {date}', appPasswordName: 'Wofür es ist', revoke: 'Zurücknehmen', sureRevoke: '{name} kann sich nicht mehr anmelden.', lastUse: 'zuletzt {date} von {from}', neverUsed: 'nie benutzt',
	thisSession: 'diese hier', endSession: 'Beenden', endOthers: 'Alle anderen beenden',
};

export const languages = { en, de };
export const languageNames = { en: 'English', de: 'Deutsch' };

let language = 'en';

/** Takes the chosen language, or the browser's, or English. */
export function speak(chosen) {
	const wanted = [chosen, ...navigator.languages.map((tag) => tag.slice(0, 2))];
	language = wanted.find((tag) => tag in languages) ?? 'en';
	document.documentElement.lang = language;
}

export const spoken = () => language;

/** The text of that name. */
export function t(name, values = {}) {
	let text = languages[language][name] ?? en[name] ?? name;
	if (typeof text === 'object') text = text[new Intl.PluralRules(language).select(values.n)] ?? text.other;
	return text.replace(/\{(\w+)\}/g, (_, key) => (typeof values[key] === 'number' ? values[key].toLocaleString(language) : values[key] ?? ''));
}

const formats = new Map();
function format(options) {
	const key = language + JSON.stringify(options);
	if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(language, options));
	return formats.get(key);
}

/** Short, for a row: the time today, else the day. */
export function shortDate(text, now = new Date()) {
	const date = new Date(text);
	if (Number.isNaN(date.getTime())) return '';
	if (date.toDateString() === now.toDateString()) return format({ hour: '2-digit', minute: '2-digit' }).format(date);
	if (date.getFullYear() === now.getFullYear()) return format({ day: 'numeric', month: 'short' }).format(date);
	return format({ day: '2-digit', month: '2-digit', year: '2-digit' }).format(date);
}

export function longDate(text) {
	const date = new Date(text);
	return Number.isNaN(date.getTime()) ? '' : format({ weekday: 'short', day: 'numeric', month: 'long', year: 'numeric', hour: '2-digit', minute: '2-digit' }).format(date);
}

/** The time of day, with its day where that is wanted. */
export const clock = (date, day) => format({ hour: '2-digit', minute: '2-digit', ...(day ? { day: 'numeric', month: 'short' } : {}) }).format(date);

/** How long until then: `in 4 minutes`. */
export function soon(text) {
	const seconds = Math.max(0, (new Date(text) - Date.now()) / 1000);
	const [unit, long] = seconds < 90 ? ['second', 1] : seconds < 5400 ? ['minute', 60] : ['hour', 3600];
	return new Intl.RelativeTimeFormat(language).format(Math.round(seconds / long), unit);
}

export function size(octets) {
	const units = ['B', 'KB', 'MB', 'GB'];
	let unit = 0;
	let value = octets;
	while (value >= 1000 && unit < 3) [value, unit] = [value / 1000, unit + 1];
	return `${value.toLocaleString(language, { maximumFractionDigits: value < 10 && unit ? 1 : 0 })} ${units[unit]}`;
}
