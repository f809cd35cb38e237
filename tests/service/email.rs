//! Mails through a real SMTP conversation: the mails that arrive, and the errors of those that do not.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use kyc_rules::{
    channels::email::{
        EhloName, FailureClass, FailureScope, MailAddress, Mailer, MailerConfig, OutgoingMail, RelayCause, SendError,
        Transport,
    },
    clock::Timestamp,
};

use crate::support::smtp::{Act, Certificate, Hangup, Setup, SmtpServer, Stage, Tls};

fn envelope(id: &str) -> OutgoingMail {
    OutgoingMail {
        from: MailAddress::new(Some("Example Shop"), "kyc@shop.example"),
        to: MailAddress::new(Some("Zoë \"Zo\" Ångström, Ph.D."), "zoe@example.com"),
        reply_to: None,
        subject: "Bitte laden Sie Ihren Reisepass hoch – es dauert nicht lange, versprochen".into(),
        text: "Grüße\n.\n..zwei Punkte\nfrom here on\n".into(),
        html: "<p>Grüße</p>\n".into(),
        message_id: format!("{id}@kyc-rules.example"),
        date: Timestamp(1_772_573_400_000),
    }
}

fn mailer(url: &str) -> Mailer {
    Mailer::new(MailerConfig {
        step_timeout: Duration::from_millis(400),
        ..MailerConfig::new(Transport::parse(url).expect("a transport"))
    })
    .expect("a mailer")
}

fn trusting(url: &str, certificate: &Certificate) -> Mailer {
    Mailer::new(MailerConfig {
        step_timeout: Duration::from_secs(5),
        extra_roots: vec![certificate.pem.clone()],
        ..MailerConfig::new(Transport::parse(url).expect("a transport"))
    })
    .expect("a mailer")
}

async fn failure(script: &[(Stage, Act)]) -> SendError {
    let server = SmtpServer::scripted(script).await;
    mailer(&server.url()).send(&envelope("a")).await.expect_err("not accepted")
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_written() {
    let server = SmtpServer::start().await;
    let sent = mailer(&server.url()).send(&envelope("a1")).await.expect("sent");
    assert_eq!(sent.answer, "250 2.0.0 queued as TEST");
    let received = &server.received()[0];
    assert_eq!((&*received.from, &*received.to), ("kyc@shop.example", &["zoe@example.com".to_owned()][..]));
    assert_eq!(received.header("Message-ID").as_deref(), Some("<a1@kyc-rules.example>"));
    assert_eq!(received.header("Auto-Submitted").as_deref(), Some("auto-generated"));
    assert_eq!(received.part("text/plain").as_deref(), Some("Grüße\n.\n..zwei Punkte\nfrom here on\n"));
    assert_eq!(received.part("text/html").as_deref(), Some("<p>Grüße</p>\n"));
    assert!(received.data.is_ascii());
    assert!(received.data.lines().all(|line| line.len() <= 998));
}

#[tokio::test]
async fn a_connection_serves_several_mails_and_a_closed_one_is_replaced() {
    let server = SmtpServer::start().await;
    let mailer = mailer(&server.url());
    for id in ["a", "b", "c"] {
        mailer.send(&envelope(id)).await.expect("sent");
    }
    assert_eq!((server.received().len(), server.connections()), (3, 1));
    server.then(Stage::Content, Act::KeepAndDrop);
    mailer.send(&envelope("d")).await.expect_err("no answer came");
    mailer.send(&envelope("d")).await.expect("sent");
    let ids: Vec<_> = server.received().iter().filter_map(|mail| mail.header("Message-ID")).collect();
    assert_eq!(ids.len(), 5);
    assert_eq!(ids[3], ids[4], "the same mail has the same id");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_time() {
    let server = SmtpServer::start().await;
    let transport = Transport::parse(&server.url()).expect("a transport");
    let kept_for = Duration::from_millis(300);
    let mailer = Mailer::new(MailerConfig { kept_for, ..MailerConfig::new(transport) }).expect("a mailer");
    assert_eq!(mailer.close_idle(), None);
    mailer.send(&envelope("a")).await.expect("sent");
    let idle = mailer.close_idle().expect("there is one");
    assert!(idle <= kept_for && server.open() == 1, "{idle:?}");
    tokio::time::sleep(idle + Duration::from_millis(1)).await;
    assert_eq!(mailer.close_idle(), None);
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if server.open() == 0 {
            return;
        }
    }
    panic!("the connection is still open");
}

#[tokio::test]
async fn a_refused_mail_closes_no_connection_unless_the_server_closes_it() {
    let server = SmtpServer::start().await;
    let mailer = mailer(&server.url());
    for (stage, line, connections) in [
        (Stage::RcptTo, "451 4.3.0 later", 1),
        (Stage::RcptTo, "550 5.1.1 unknown", 1),
        (Stage::Data, "554 5.5.1 no", 1),
        (Stage::Content, "552 5.3.4 too big", 1),
        (Stage::Content, "421 4.3.2 closing", 2),
        // A reply to every mail may be specific to this connection.
        (Stage::MailFrom, "451 4.3.0 later", 3),
    ] {
        server.then(stage, Act::Say(line));
        mailer.send(&envelope("a")).await.expect_err(line);
        mailer.send(&envelope("b")).await.expect("sent");
        assert_eq!(server.connections(), connections, "{line}");
    }
    assert_eq!(server.received().len(), 6, "no part of one mail gets into another");
    assert!(server.received().iter().all(|mail| mail.to == ["zoe@example.com"]));
}

#[tokio::test]
async fn data_on_an_idle_connection_costs_the_next_mail_no_attempt() {
    for (unasked, hangup) in [
        ("221 2.0.0 idle for too long", Hangup::Yes),
        ("221 2.0.0 idle for too long", Hangup::No),
        ("421 4.4.2 timeout", Hangup::Yes),
        ("250 2.0.0 ok", Hangup::No),
        ("354 go on", Hangup::No),
        ("550 5.1.1 unknown", Hangup::No),
        ("what?", Hangup::No),
        ("", Hangup::Yes),
    ] {
        for kept in [1, 4] {
            let script = vec![(Stage::Content, Act::KeepThen(unasked, hangup)); kept];
            let server = SmtpServer::scripted(&script).await;
            let transport = Transport::parse(&server.url()).expect("a transport");
            // The default timeout: a wait for a reply that does not come would fail the test.
            let mailer = Mailer::new(MailerConfig::new(transport)).expect("a mailer");
            let names: Vec<String> = (0..kept).map(|nth| format!("a{nth}")).collect();
            let sent = join_all(names.iter().map(|id| async { mailer.send(&envelope(id)).await })).await;
            assert!(sent.iter().all(Result::is_ok), "{sent:?}");
            while server.unasked() < kept {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let next = tokio::time::timeout(Duration::from_secs(4), mailer.send(&envelope("b"))).await;
            next.expect("at once").unwrap_or_else(|error| panic!("{unasked:?} {hangup:?}: {error}"));
            assert_eq!(server.received().len(), kept + 1, "{unasked:?} {hangup:?}");
            assert_eq!(server.received()[kept].connection, kept + 1, "{unasked:?} {hangup:?}: a new connection");
        }
    }
}

#[tokio::test]
async fn a_mail_on_a_connection_that_the_server_ends_is_sent_over_a_new_one() {
    for stage in [Stage::MailFrom, Stage::RcptTo, Stage::Data] {
        for act in [Act::Say("421 4.7.0 too many messages in this connection"), Act::Drop, Act::Say("221 bye")] {
            let server = SmtpServer::start().await;
            let mailer = mailer(&server.url());
            mailer.send(&envelope("a")).await.expect("sent");
            server.then(stage, act.clone());
            mailer.send(&envelope("b")).await.unwrap_or_else(|error| panic!("{stage:?} {act:?}: {error}"));
            assert_eq!((server.received().len(), server.connections()), (2, 2), "{stage:?} {act:?}");
            // If a new connection ends in this way, the attempt fails.
            let server = SmtpServer::scripted(&[(stage, act.clone())]).await;
            let error = self::mailer(&server.url()).send(&envelope("c")).await.expect_err("not taken");
            assert_eq!((error.class, server.connections()), (FailureClass::Retry, 1), "{stage:?} {act:?}");
        }
    }
    let error = failure(&[(Stage::RcptTo, Act::Say("421 4.7.0 too many errors"))]).await;
    assert_eq!(error.scope, FailureScope::Relay(RelayCause::Unavailable), "{error}");
}

#[tokio::test]
async fn a_connection_has_a_maximum_of_mails_and_a_maximum_age() {
    let server = SmtpServer::start().await;
    let config = || MailerConfig::new(Transport::parse(&server.url()).expect("a transport"));
    assert_eq!((config().max_age, config().max_mails), (Duration::from_secs(120), 100));
    let few = Mailer::new(MailerConfig { max_mails: 2, ..config() }).expect("a mailer");
    for id in ["a", "b", "c", "d", "e"] {
        few.send(&envelope(id)).await.expect("sent");
    }
    let over: Vec<usize> = server.received().iter().map(|mail| mail.connection).collect();
    assert_eq!(over, [1, 1, 2, 2, 3]);
    assert_eq!(server.commands().iter().filter(|line| *line == "QUIT").count(), 2, "a finished connection sends QUIT");
    let max_age = Duration::from_millis(300);
    let young = Mailer::new(MailerConfig { max_age, ..config() }).expect("a mailer");
    let began = Instant::now();
    young.send(&envelope("f")).await.expect("sent");
    while began.elapsed() < max_age + Duration::from_millis(20) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let _ = young.close_idle();
    }
    assert_eq!(young.close_idle(), None, "closed, although it was not idle for long");
    young.send(&envelope("g")).await.expect("sent");
    assert_eq!(server.received()[6].connection, 5);
}

#[tokio::test]
async fn ehlo_sends_the_configured_name_or_a_full_name_or_an_address() {
    let server = SmtpServer::start().await;
    let config = MailerConfig::new(Transport::parse(&server.url()).expect("a transport"));
    Mailer::new(config.clone()).expect("a mailer").send(&envelope("a")).await.expect("sent");
    let hello = Some(EhloName::parse("kyc.shop.example").expect("a name"));
    Mailer::new(MailerConfig { hello, ..config }).expect("a mailer").send(&envelope("b")).await.expect("sent");
    let commands = server.commands();
    let said: Vec<&str> = commands.iter().filter_map(|line| line.strip_prefix("EHLO ")).collect();
    assert!(said[0] == "[127.0.0.1]" || said[0].contains('.') && !said[0].starts_with("localhost"), "{said:?}");
    assert_eq!(said[1], "kyc.shop.example");
}

#[tokio::test]
async fn a_probe_of_the_sender_stops_after_the_recipient_and_sends_nothing() {
    let server = SmtpServer::start().await;
    let sender = MailAddress::new(None, "kyc@shop.example");
    let said = mailer(&server.url()).probe_sender(&sender).await.expect("accepted");
    assert!(said.ends_with("connected, no TLS, on this machine, no login configured"), "{said}");
    let commands = server.commands();
    let commands: Vec<&str> = commands.iter().map(|line| line.split(':').next().unwrap_or(line)).collect();
    assert_eq!(commands[1..], ["MAIL FROM", "RCPT TO", "RSET", "QUIT"]);
    server.then(Stage::RcptTo, Act::Say("554 5.7.1 <kyc@shop.example>: Relay access denied"));
    let error = mailer(&server.url()).probe_sender(&sender).await.expect_err("refused");
    assert_eq!(error.scope, FailureScope::Relay(RelayCause::Client));
    assert!(!error.text.contains('@'), "{error}");
    assert_eq!(server.received(), []);
}

#[tokio::test]
async fn a_mail_without_a_final_reply_is_reported_as_possibly_arrived() {
    for act in [Act::KeepAndDrop, Act::Drop, Act::Hang] {
        let error = failure(&[(Stage::Content, act.clone())]).await;
        assert_eq!(error.class, FailureClass::Retry, "{act:?}");
        assert!(error.text.ends_with("it may have arrived"), "{error}");
    }
    for stage in [Stage::MailFrom, Stage::RcptTo, Stage::Data] {
        let error = failure(&[(stage, Act::Drop)]).await;
        assert!(!error.text.contains("arrived"), "{stage:?}: {error}");
    }
}

#[tokio::test]
async fn every_text_arrives_in_lines_that_every_server_accepts() {
    let server = SmtpServer::start().await;
    let mailer = mailer(&server.url());
    for text in [
        "x".repeat(5_000),
        "ä".repeat(5_000),
        format!("{}\n", "漢字 👩‍💻 ".repeat(700)),
        "From the start\n.\n..\n=3D trailing space \n".to_owned(),
        "nul\u{7f}byte and \u{a0}space".to_owned(),
    ] {
        let html = format!("<p>{text}</p>");
        let mail = OutgoingMail { text: text.clone(), html: html.clone(), ..envelope("a") };
        mailer.send(&mail).await.expect("sent");
        let received = server.received().pop().expect("it");
        assert!(received.data.is_ascii() && received.data.lines().all(|line| line.len() <= 998), "{}", received.data);
        assert_eq!(received.part("text/plain").as_deref(), Some(&*text));
        assert_eq!(received.part("text/html").as_deref(), Some(&*html));
    }
    let subject = "Prüfung ".repeat(60);
    let reply_to = Some(MailAddress::new(Some("Hilfe & Kontakt"), "support@shop.example"));
    let mail = OutgoingMail { subject: subject.clone(), reply_to, ..envelope("a") };
    mailer.send(&mail).await.expect("sent");
    let received = server.received().pop().expect("it");
    assert!(received.data.is_ascii() && received.data.lines().all(|line| line.len() <= 998), "{}", received.data);
    assert!(received.header("Reply-To").is_some_and(|value| value.ends_with(" <support@shop.example>")));
}

#[tokio::test]
async fn a_temporary_refusal_is_retried_and_a_permanent_one_is_not() {
    for (stage, line, class, said) in [
        (Stage::Greeting, "421 4.3.2 closing", FailureClass::Retry, "replied to the connection: 421 4.3.2 closing"),
        (Stage::MailFrom, "451 4.3.0 later", FailureClass::Retry, "replied to MAIL FROM: 451 4.3.0 later"),
        (Stage::RcptTo, "450 4.2.0 greylisted", FailureClass::Retry, "replied to RCPT TO: 450 4.2.0 greylisted"),
        (Stage::Content, "452 4.3.1 no room", FailureClass::Retry, "replied to DATA: 452 4.3.1 no room"),
        (Stage::Greeting, "554 5.7.1 go away", FailureClass::Permanent, "replied to the connection: 554 5.7.1 go away"),
        (
            Stage::RcptTo,
            "550 5.1.1 <zoe@example.com> unknown",
            FailureClass::Permanent,
            "550 5.1.1 <the recipient> unknown",
        ),
        (Stage::Data, "554 5.5.1 no", FailureClass::Permanent, "replied to DATA: 554 5.5.1 no"),
        (Stage::Content, "550-5.7.1 spam\r\n550 5.7.1 surely", FailureClass::Permanent, "replied to DATA: 550"),
    ] {
        let error = failure(&[(stage, Act::Say(line))]).await;
        assert_eq!(error.class, class, "{stage:?} {line}: {error}");
        assert!(error.text.contains(said), "{stage:?}: {error}");
        assert!(error.text.starts_with("127.0.0.1:") && !error.text.contains('@'), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_or_closes_costs_one_attempt_and_a_bounded_time() {
    for stage in [Stage::Greeting, Stage::Ehlo, Stage::MailFrom, Stage::RcptTo, Stage::Data, Stage::Content] {
        for act in [Act::Hang, Act::Drop] {
            let begun = Instant::now();
            let error = failure(&[(stage, act.clone())]).await;
            assert_eq!(error.class, FailureClass::Retry, "{stage:?} {act:?}: {error}");
            assert!(begun.elapsed() < Duration::from_secs(4), "{stage:?} {act:?}");
        }
    }
    let error = mailer("smtp://127.0.0.1:1?tls=none").send(&envelope("a")).await.expect_err("no server there");
    assert_eq!((error.class, &*error.text), (FailureClass::Retry, "127.0.0.1:1: nothing answers on this port"));
}

#[tokio::test]
async fn a_late_reply_never_counts_for_the_next_mail() {
    let server = SmtpServer::scripted(&[(Stage::Content, Act::Slow(Duration::from_millis(2000)))]).await;
    let mailer = mailer(&server.url());
    let error = mailer.send(&envelope("a")).await.expect_err("too late");
    assert_eq!(error.class, FailureClass::Retry);
    server.then(Stage::RcptTo, Act::Say("550 5.1.1 unknown"));
    let error = mailer.send(&envelope("b")).await.expect_err("refused");
    assert_eq!(error.class, FailureClass::Permanent, "{error}");
    assert_eq!(server.connections(), 2, "the connection that timed out is not used again");
}

#[tokio::test]
async fn a_mail_whose_attempt_is_dropped_leaves_nothing_behind() {
    let server = SmtpServer::scripted(&[(Stage::Content, Act::Hang)]).await;
    let mailer = mailer(&server.url());
    let given_up = tokio::time::timeout(Duration::from_millis(150), mailer.send(&envelope("a"))).await;
    assert!(given_up.is_err());
    mailer.send(&envelope("b")).await.expect("sent over a new connection");
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn starttls_is_required_and_its_certificate_must_be_right() {
    let certificate = Certificate::for_name("localhost");
    let server = SmtpServer::with(Setup { tls: Tls::Upgrade(certificate.clone()), ..Setup::default() }).await;
    let url = format!("smtp://localhost:{}", server.address.port());
    trusting(&url, &certificate).send(&envelope("a")).await.expect("sent");
    assert!(server.received()[0].encrypted);

    let error =
        trusting(&url, &Certificate::for_name("localhost")).send(&envelope("a")).await.expect_err("not trusted");
    assert_eq!(error.class, FailureClass::Retry);
    assert!(error.text.contains("the server's certificate is not accepted"), "{error}");

    let other = Certificate::for_name("mail.example");
    let server = SmtpServer::with(Setup { tls: Tls::Upgrade(other.clone()), ..Setup::default() }).await;
    let url = format!("smtp://localhost:{}", server.address.port());
    let error = trusting(&url, &other).send(&envelope("a")).await.expect_err("another name");
    assert!(error.text.contains("it is for another host name"), "{error}");

    let server = SmtpServer::start().await;
    let url = format!("smtp://localhost:{}", server.address.port());
    let error = trusting(&url, &certificate).send(&envelope("a")).await.expect_err("no STARTTLS");
    assert_eq!(error.class, FailureClass::Retry);
    assert!(error.text.contains("the server offers no STARTTLS"), "{error}");
    assert_eq!(server.received(), []);
}

#[tokio::test]
async fn tls_from_the_first_byte_is_used_where_it_is_configured() {
    let certificate = Certificate::for_name("localhost");
    let server = SmtpServer::with(Setup { tls: Tls::Implicit(certificate.clone()), ..Setup::default() }).await;
    let url = format!("smtps://localhost:{}", server.address.port());
    trusting(&url, &certificate).send(&envelope("a")).await.expect("sent");
    assert!(server.received()[0].encrypted);

    let open = SmtpServer::start().await;
    let url = format!("smtps://localhost:{}", open.address.port());
    let error = trusting(&url, &certificate).send(&envelope("a")).await.expect_err("no TLS there");
    assert_eq!(error.class, FailureClass::Retry);
    assert!(error.text.contains("the server does not use TLS on this port"), "{error}");
}

#[tokio::test]
async fn a_configured_login_is_used_and_its_password_is_never_shown() {
    for only_auth_login in [false, true] {
        let setup = Setup { login: Some(("shop@x", "p:@ss w/rd")), only_auth_login, ..Setup::default() };
        let server = SmtpServer::with(setup).await;
        let url = |password: &str| format!("smtp://shop%40x:{password}@{}?tls=none", server.address);
        mailer(&url("p%3A%40ss%20w%2Frd")).send(&envelope("a")).await.expect("sent");
        assert_eq!(server.received()[0].user.as_deref(), Some("shop@x"));

        let wrong = mailer(&url("hunter2"));
        let error = wrong.send(&envelope("a")).await.expect_err("refused");
        assert_eq!(error.class, FailureClass::Permanent);
        assert!(error.text.contains("replied to AUTH: 535 5.7.8 user or password is wrong"), "{error}");
        assert!(!format!("{wrong:?}{error:?}").contains("hunter2"));
    }
    let server = SmtpServer::start().await;
    let url = format!("smtp://u:p@{}?tls=none", server.address);
    let error = mailer(&url).send(&envelope("a")).await.expect_err("no login offered");
    assert!(error.text.contains("the server offers no supported way to log in"), "{error}");
}

#[tokio::test]
async fn data_received_before_tls_is_no_reply_within_it() {
    let certificate = Certificate::for_name("localhost");
    let injected = "220 go\r\n250-mitm\r\n250 AUTH PLAIN\r\n235 ok\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 ok";
    for again in [None, Some((Stage::Ehlo, Act::Hang))] {
        let setup = Setup { tls: Tls::Upgrade(certificate.clone()), login: Some(("u", "p")), ..Setup::default() };
        let server = SmtpServer::with(setup).await;
        let relay = || trusting(&format!("smtp://u:p@localhost:{}", server.address.port()), &certificate);
        for go in [0, 1] {
            server.then(Stage::StartTls, Act::Say(injected));
            again.clone().into_iter().for_each(|(stage, act)| server.then(stage, act));
            let error = match go {
                0 => relay().send(&envelope("a")).await.expect_err("not accepted"),
                _ => relay().probe().await.expect_err("the probe fails, too"),
            };
            assert!(error.text.contains("the server sent more than its reply to STARTTLS"), "{error}");
            assert_eq!((error.class, server.received().len()), (FailureClass::Retry, 0));
            server.forget_script();
        }
        relay().send(&envelope("a")).await.expect("sent without the injection");
        assert_eq!(server.received()[0].user.as_deref(), Some("u"));
    }
}

#[tokio::test]
async fn a_reply_counts_by_its_code_for_any_charset_and_length_of_its_text() {
    const LONG: &[u8] = &{
        let mut line = [b'x'; 3_000];
        line[0] = b'2';
        line[1] = b'5';
        line[2] = b'0';
        line[3] = b' ';
        line
    };
    let server = SmtpServer::start().await;
    let relay = mailer(&server.url());
    for (stage, said) in [
        (Stage::Greeting, b"220 sch\xf6ner Server".as_slice()),
        (Stage::Content, b"250 angenommen, sch\xf6nen Tag"),
        (Stage::Content, LONG),
        (Stage::Content, b"250"),
    ] {
        server.then(stage, Act::SayBytes(said));
        relay.send(&envelope("a")).await.unwrap_or_else(|error| panic!("{said:?}: {error}"));
    }
    assert!(server.script_is_over());
    server.then(Stage::Content, Act::SayBytes(b"550 unerw\xfcnscht"));
    let error = relay.send(&envelope("a")).await.expect_err("refused");
    assert_eq!(error.class, FailureClass::Permanent);
    assert!(error.text.ends_with("replied to DATA: 550 unerw?nscht"), "{error}");
    assert_eq!(server.connections(), 1, "the conversation continues");
}

#[tokio::test]
async fn a_reply_that_is_not_valid_at_its_step_is_no_acceptance() {
    for (stage, line, in_doubt) in [
        (Stage::Greeting, "354 go on", false),
        (Stage::Ehlo, "334 go on", false),
        (Stage::MailFrom, "354 go on", false),
        (Stage::RcptTo, "354 go on", false),
        (Stage::Data, "250 ok", false),
        (Stage::Data, "334 ok", false),
        (Stage::Content, "354 go on", true),
        (Stage::RcptTo, "250 ok\r\n250 ok\r\n250 ok", false),
        (Stage::Data, "354 go on\r\n250 ok", false),
        (Stage::RcptTo, "HTTP/1.1 400 Bad Request", false),
        (Stage::RcptTo, "650 what", false),
    ] {
        let server = SmtpServer::scripted(&[(stage, Act::Say(line))]).await;
        let relay = mailer(&server.url());
        let error = relay.send(&envelope("a")).await.expect_err(line);
        assert_eq!((error.class, error.is_in_doubt), (FailureClass::Retry, in_doubt), "{stage:?} {line}: {error}");
        assert_eq!(error.text.ends_with("it may have arrived"), in_doubt, "{error}");
        assert_eq!(server.received(), [], "{stage:?} {line}");
    }
    let server = SmtpServer::scripted(&[(Stage::Content, Act::Say("354 go on"))]).await;
    let relay = mailer(&server.url());
    relay.send(&envelope("a")).await.expect_err("not a valid reply");
    relay.send(&envelope("b")).await.expect("sent");
    assert_eq!(server.connections(), 2, "nothing more is sent over this connection");
}

#[tokio::test]
async fn a_login_that_the_server_repeats_is_not_shown() {
    let server = SmtpServer::with(Setup { login: Some(("user", "pass-word")), ..Setup::default() }).await;
    let url = format!("smtp://user:pass-word@{}?tls=none", server.address);
    for said in [
        "535 you sent AUTH PLAIN AHVzZXIAcGFzcy13b3Jk",
        "535-no\r\n535 AHVzZXIAcGFzcy13b3Jk",
        "535 you sent cGFzcy13b3Jk",
        "535 dXNlcgB1c2VyAHBhc3Mtd29yZA==",
        "535 pass-word is wrong",
        "435 pass-word may be right",
    ] {
        server.then(Stage::Auth, Act::Say(said));
        let error = mailer(&url).probe().await.expect_err(said);
        assert!(error.text.contains("35 ") && error.text.contains('…'), "{error}");
        let shown = format!("{error:?}");
        assert!(
            !["pass-word", "AHVzZXIA", "cGFzcy13b3Jk", "dXNlcgB1"].iter().any(|secret| shown.contains(secret)),
            "{shown}"
        );
    }
    server.then(Stage::Content, Act::Say("250 taken, pass-word"));
    assert_eq!(mailer(&url).send(&envelope("a")).await.expect("sent").answer, "250 taken, …");
}

#[tokio::test]
async fn the_log_contains_no_text_of_a_server() {
    for (stage, act, log) in [
        (Stage::Greeting, Act::Say("554 ZEBRA"), "replied to the connection: 554"),
        (Stage::RcptTo, Act::Say("550 5.1.1 zoe=40example.com ZEBRA"), "replied to RCPT TO: 550"),
        (Stage::Content, Act::Say("451 Subject: ZEBRA"), "replied to DATA: 451"),
        (
            Stage::Content,
            Act::Say("354 ZEBRA"),
            "replied to DATA: 354, which is not a valid reply there; it may have arrived",
        ),
    ] {
        let error = failure(&[(stage, act)]).await;
        assert!(error.text.contains("ZEBRA"), "{error}");
        assert!(error.log.ends_with(log) && error.log.starts_with("127.0.0.1:"), "{}", error.log);
    }
    let error = failure(&[(Stage::RcptTo, Act::Say("ZEBRA"))]).await;
    assert!(!error.text.contains("ZEBRA") && error.log == error.text, "{error}");
}

/// A port that accepts connections and sends nothing.
async fn silent() -> (tokio::net::TcpListener, u16) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

#[tokio::test]
async fn a_port_with_another_protocol_is_distinguished_from_a_silent_one() {
    let (_listener, port) = silent().await;
    for (url, said) in [
        (
            format!("smtp://127.0.0.1:{port}"),
            "connected, but received no greeting within 400ms (try smtps:// instead of smtp://: port 465 usually expects it)",
        ),
        (format!("smtp://127.0.0.1:{port}?tls=none"), "connected, but received no greeting within 400ms"),
        (format!("smtps://127.0.0.1:{port}"), "connected, but no TLS within 400ms (try smtp:// instead of smtps://)"),
    ] {
        let error = mailer(&url).probe().await.expect_err("no greeting");
        assert_eq!(error.text, format!("127.0.0.1:{port}: {said}"));
    }
    let certificate = Certificate::for_name("localhost");
    let implicit = SmtpServer::with(Setup { tls: Tls::Implicit(certificate.clone()), ..Setup::default() }).await;
    let error =
        mailer(&format!("smtp://localhost:{}", implicit.address.port())).probe().await.expect_err("TLS at once");
    assert!(error.text.contains("port 465 usually expects it"), "{error}");

    let error = failure(&[(Stage::Ehlo, Act::Hang)]).await;
    assert!(error.text.ends_with(": no reply to EHLO within 400ms"), "{error}");

    let server = SmtpServer::with(Setup { tls: Tls::Upgrade(certificate.clone()), ..Setup::default() }).await;
    server.then(Stage::StartTls, Act::SayLater("220 go", "this is no TLS at all"));
    let error = trusting(&format!("smtp://localhost:{}", server.address.port()), &certificate).probe().await;
    let error = error.expect_err("no TLS");
    assert!(error.text.ends_with("accepted STARTTLS, but what followed was not TLS"), "{error}");
}

#[tokio::test]
async fn an_error_about_a_certificate_names_the_reason_and_the_remedy() {
    let (ours, same_name) = (Certificate::signed_by("Our CA"), Certificate::signed_by("Our CA"));
    let own = Certificate::for_name("localhost");
    let authority = Certificate::of_an_authority();
    for (shown, trusted, said) in [
        (own.clone(), &same_name, "it is self-signed and not trusted here; add it to the certificates"),
        // A certificate of the same name is trusted: rcgen uses one name for all.
        (own, &Certificate::for_name("localhost"), "it is self-signed and not trusted here"),
        (
            ours,
            &authority,
            "no authority that this machine trusts has signed it; if it is from your own authority, add it",
        ),
        (
            Certificate::signed_by("Our CA"),
            &same_name,
            "it is not signed by the issuer that it names (which may have a new key)",
        ),
        (authority.clone(), &same_name, "it is a CA certificate (as `openssl req -x509` makes by default)"),
        (authority.clone(), &authority, "it is a CA certificate"),
        (Certificate::outdated(), &same_name, "it has the outdated version 1 of X.509"),
    ] {
        let server = SmtpServer::with(Setup { tls: Tls::Upgrade(shown), ..Setup::default() }).await;
        let url = format!("smtp://localhost:{}", server.address.port());
        let error = trusting(&url, trusted).probe().await.expect_err(said);
        assert!(error.text.contains(&format!("the server's certificate is not accepted: {said}")), "{error}");
    }
    let server = SmtpServer::with(Setup { tls: Tls::Upgrade(same_name.clone()), ..Setup::default() }).await;
    trusting(&format!("smtp://localhost:{}", server.address.port()), &same_name).probe().await.expect("a private CA");
}
