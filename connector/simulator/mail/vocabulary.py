# ruff: noqa: RUF001 - look-alike characters of many scripts are the point
"""Vocabulary of generated messages: people, companies, subjects in many scripts; reserved domains only."""

from __future__ import annotations

from typing import Final

NUMBER: Final = "\ue000"
"""Placeholder in a subject for the number of the message."""

PEOPLE: Final[tuple[tuple[str, str], ...]] = (
    ("alice.example", "Alice Example"), ("bob.roe", "Bob Roe"), ("carol.danvers", "Carol Danvers"),
    ("dave.smith", "Dave Smith"), ("erin.oneill", "Erin O'Neill"), ("f.muller", "Frank Müller"),
    ("grace.hopper", "Grace Hopper"), ("heidi.larsen", "Heidi Lársen"), ("ivan.petrov", "Иван Петров"),
    ("judy.chan", "陳茱迪"), ("kenji.sato", "佐藤 健二"), ("leila.haddad", "ليلى حداد"),
    ("mallory.jones", "Mallory Jones"), ("noa.levi", "נועה לוי"), ("olga.nowak", "Olga Nowák"),
    ("priya.sharma", "प्रिया शर्मा"), ("quentin.dubois", "Quentin Dubois"), ("rosa.garcia", "Rosa García"),
    ("somchai.w", "สมชาย วงศ์"), ("trent.baker", "Baker, Trent"), ("uma.rao", "உமா ராவ்"),
    ("vasilis.p", "Βασίλης Παπαδόπουλος"), ("wei.zhang", "张伟"), ("yuki.tanaka", "田中 雪"),
    ("zoltan.nagy", "Nagy Zoltán"), ("ji-woo.kim", "김지우"), ("tigran.a", "Տիգրան"), ("nino.b", "ნინო"),
)  # fmt: skip
"""Local part and display name of the company's people."""

GROUPS: Final = (
    ("ap", "Accounts Payable"), ("hr", "Human Resources"), ("it-support", 'IT Support "Helpdesk"'),
    ("legal", "Legal & Compliance"), ("sales", "Sales <EMEA>"), ("all", "All Staff"), ("ceo-office", ""),
)  # fmt: skip

COMPANY: Final = ("corp.example", "eu.corp.example", "example.com")
PARTNERS: Final = (
    "partner.example", "supplier.example.net", "bank.example.org", "news.example.com", "mailer.example.net",
    "cloud.example.org", "bücher.example", "xn--bcher-kva.example", "例え.example", "почта.example",
    "shop.example", "university.example",
)  # fmt: skip
STRANGERS: Final = (
    "login-secure.example.net", "c0rp.example.org", "corp-example.example.net", "free-mail.example.org",
    "xn--crp-6cd.example", "promo.example.com", "mail-7781.example.net", "pay-now.example",
)  # fmt: skip
ATTACKERS: Final = (*STRANGERS, "example.com")

WORK: Final = (
    f"Re: Project Atlas, status week {NUMBER}", "Minutes of Monday's meeting", f"Invoice {NUMBER} attached",
    f"Rechnung {NUMBER} – fällig in 14 Tagen", "Quick favour — lunch tomorrow? 🍜",
    f"[tracker] (OPS-{NUMBER}) Disk full",
    f"会議の件 第{NUMBER}回", "Отчёт за квартал", "عرض السعر المحدث", "הצעה מעודכנת", "견적서 송부드립니다",
    "रिपोर्ट संलग्न है", "รายงานประจำเดือน", "Ενημέρωση έργου", f"PO#{NUMBER}: 100% of goods received",
    "Undeliverable: returned mail", "Automatic reply: out of office", f"Your ticket {NUMBER} was updated",
)  # fmt: skip
NEWS: Final = (
    f"Newsletter no. {NUMBER}", "November partner update", f"{NUMBER} new jobs for you", "本週新聞摘要",
    "Votre récapitulatif hebdomadaire", "Webinar: zero trust in practice", "Neu im Sortiment 🎁",
)  # fmt: skip
JUNK: Final = (
    "Lose weight fast!!!", f"You won {NUMBER} €", "V1agra 80% off", "Дешёвые часы", "最安値 限定セール",
    "Re: your loan approval", f"Coupon {NUMBER} expires tonight", "",
)  # fmt: skip
PHISH: Final = (
    "Action required: password expires today | re-validate=now", f"Voicemail from +1 555 {NUMBER}",
    f"Parcel {NUMBER}: pay customs fee", 'Shared document "Salary 2026.xlsx"', "您的邮箱已满",
    "Ihr Konto wurde gesperrt – jetzt bestätigen", "Срочно: подтвердите пароль", "تم تعليق حسابك",
    "listen, I highly recommend u to read that email", f"E-signature: contract {NUMBER} awaits signature",
)  # fmt: skip
FRAUD: Final = (
    "Quick favour - wire before 5pm… été", "Are you at your desk?", "New bank details for invoice " + NUMBER,
    "Confidential: acquisition", "急ぎの送金依頼", "Gift cards for the team",
)  # fmt: skip
SHARED: Final = ("Encrypted message from Dana Chief", f"Secure file {NUMBER}", "Protected: board papers")

FILES: Final = (
    "invoice_88213.html", "Salary 2026.xlsx", "scan0001.pdf", "payload.zip", "résumé.docx", "請求書.pdf",
    "photo\u202egnp.exe", "report (final) v2.docm", "a;b|c=d.txt", "logo.png",
)  # fmt: skip
TYPES: Final[dict[str, str]] = {
    "html": "text/html", "pdf": "application/pdf", "zip": "application/zip", "png": "image/png",
    "exe": "application/x-msdownload", "txt": "text/plain",
}  # fmt: skip
