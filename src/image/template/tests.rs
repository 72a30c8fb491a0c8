//! Names that templates give.

use super::*;
use crate::sampling::Sampler;

fn request() -> Request {
    let mut request = Request::default();
    request.prompt.text = "A red apple, (shiny:1.2)".into();
    request.sampling.seed = Some(42);
    request.sampling.steps = Some(20);
    request.sampling.guidance = Some(7.5);
    request.sampling.scheduler = Some(Sampler::DpmPp2m);
    request.image.width = Some(512);
    request.image.height = Some(768);
    request
}

const NUMBER: Number = Number { index: 3, line: Some(12) };

fn stamp() -> Stamp {
    Stamp { date: "2025-01-31".into(), time: "23-59-59".into() }
}

fn render(template: &str) -> String {
    let template = Template::parse(template).unwrap();
    template.render(&request(), "sd/v1.5", NUMBER, &stamp()).to_str().unwrap().into()
}

#[test]
fn placeholders_are_filled() {
    for (template, path) in [
        ("a.png", "a.png"),
        ("{seed}", "42.png"),
        ("{seed:08}-{index:4}.png", "00000042-0003.png"),
        ("{line:04}.png", "0012.png"),
        ("{model}_{date}_{time}.png", "sd_v1.5_2025-01-31_23-59-59.png"),
        ("{prompt}.png", "a-red-apple-shiny-1-2.png"),
        ("{steps}-{guidance}-{scheduler}-{width}x{height}.png", "20-7.5-dpm++2m-512x768.png"),
        ("{{{seed}}}.png", "{42}.png"),
        ("/tmp/x/{date}/a/{seed}.PNG", "/tmp/x/2025-01-31/a/42.PNG"),
        ("./../a.png", "./../a.png"),
        ("/a.png", "/a.png"),
        ("日本/{seed}é.png", "日本/42é.png"),
    ] {
        assert_eq!(render(template), path);
    }
}

#[test]
fn png_is_added_where_no_extension_is() {
    for (template, path) in [
        ("a", "a.png"),
        ("v1.5", "v1.5.png"),
        ("v1.{seed}", "v1.42.png"),
        ("{seed}.final", "42.final.png"),
        (".png", ".png.png"),
        ("a.", "a..png"),
        ("x.jpg/a", "x.jpg/a.png"),
    ] {
        assert_eq!(render(template), path);
    }
}

#[test]
fn other_formats_are_refused_with_a_name_that_works() {
    for template in ["a.jpg", "a.JPEG", "{seed}-a.webp", "out/a.tiff"] {
        let error = Template::parse(template).unwrap_err();
        assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
        assert!(error.hint().unwrap().contains("a.png`"), "{error} {:?}", error.hint());
    }
}

#[test]
fn mistakes_are_named() {
    for (template, message, hint) in [
        ("{sed}.png", "unknown placeholder `{sed}`", "did you mean `{seed}`?"),
        ("{Index}.png", "unknown placeholder `{Index}`", "did you mean `{index}`?"),
        ("{zzz}.png", "unknown placeholder `{zzz}`", "one of: {seed} {index}"),
        ("{}.png", "unknown placeholder `{}`", "one of:"),
        ("{seed.png", "without its partner", "`{{`"),
        ("seed}.png", "without its partner", "`}}`"),
        ("{model:04}.png", "takes no width", "use `{model}`"),
        ("{seed:x}.png", "`x` is no width", "{seed:04}"),
        ("{seed:}.png", "`` is no width", "{seed:04}"),
        ("{seed:0}.png", "`0` is no width", "1 to 20"),
        ("{seed:99999999999999999999999}", "is no width", "1 to 20"),
        ("", "names no file", "picture.png"),
        ("out/", "names no file", "picture.png"),
    ] {
        let error = Template::parse(template).unwrap_err();
        assert!(error.to_string().contains(message), "{template}: {error}");
        assert!(error.hint().unwrap().contains(hint), "{template}: {:?}", error.hint());
        assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
    }
}

fn name(template: &str, pictures: usize, batch: usize, lines: bool) -> String {
    let template = Template::parse(template).unwrap().for_siblings(Siblings { pictures, batch, lines });
    template.render(&request(), "m", NUMBER, &stamp()).to_str().unwrap().to_owned()
}

#[test]
fn names_of_several_pictures_differ() {
    let name = |template, pictures, batch| name(template, pictures, batch, false);
    assert_eq!(name("a.png", 1, 1), "a.png");
    assert_eq!(name("a.png", 4, 1), "a-3.png");
    assert_eq!(name("{seed}.png", 4, 1), "42.png");
    assert_eq!(name("{seed}.png", 4, 2), "42-3.png");
    assert_eq!(name("{index}.png", 4, 2), "3.png");
    assert_eq!(name("{index}/a.png", 4, 2), "3/a.png");
    assert_eq!(name("{date}/{model}", 2, 2), "2025-01-31/m-3.png");
}

#[test]
fn names_of_several_lines_differ() {
    let name = |template, pictures, batch| name(template, pictures, batch, true);
    assert_eq!(name("a.png", 1, 1), "a-12.png");
    assert_eq!(name("{seed}.png", 1, 1), "42-12.png");
    assert_eq!(name("{seed}.png", 4, 1), "42-12.png");
    assert_eq!(name("{seed}-{line:03}.png", 4, 1), "42-012.png");
    assert_eq!(name("{line}.png", 1, 1), "12.png");
    assert_eq!(name("{line}.png", 4, 1), "12-3.png");
    assert_eq!(name("{line}-{seed}.png", 4, 2), "12-42-3.png");
    assert_eq!(name("{index}.png", 4, 2), "3.png");
}

#[test]
fn the_fixed_folder_ends_at_the_first_placeholder() {
    for (template, folder) in [
        ("a.png", "."),
        ("{date}/a.png", "."),
        ("out/a.png", "out"),
        ("/a.png", "/"),
        ("/tmp/out/{date}/b/a.png", "/tmp/out"),
        ("../a-{date}/a.png", ".."),
        ("a{{b}}/c.png", "a{b}"),
    ] {
        let parsed = Template::parse(template).unwrap();
        assert_eq!(parsed.fixed_folder(), Path::new(folder), "{template}");
        assert_eq!(parsed.has_variable_folders(), template.contains("date"), "{template}");
    }
}

#[test]
fn values_never_climb_or_name_devices() {
    let render = |template: &str, model: &str| {
        Template::parse(template)
            .unwrap()
            .render(&request(), model, Number::default(), &stamp())
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(render("{model}/a.png", ".."), "untitled/a.png");
    assert_eq!(render("{model}.png", "../../x"), "_.._x.png");
    assert_eq!(render("{model}.png", "con"), "con_.png");
    assert_eq!(render("con.png", "m"), "con.png");
}

#[test]
fn the_stamp_is_made_for_names() {
    let now = Stamp::now();
    assert!(now.date.len() == 10 && now.date.starts_with("20"), "{now:?}");
    assert!(now.time.len() == 8 && !now.time.contains(':'), "{now:?}");
}
