//! Blocks of a UNet: how they are counted, and weights of their own.

use super::super::blocks::{Block, BlockNames, BlockWeights};
use super::*;

#[test]
fn blocks_are_counted_as_in_the_original_code() {
    let weights: BlockWeights = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17".parse().unwrap();
    let of = |family: &str, module: &str| {
        let components = model(family);
        let names = BlockNames::of_unet(&components[0].1.names());
        names.of("unet", module).to_string()
    };
    for (family, module, block) in [
        ("sd15", "down_blocks.0.attentions.0.proj_in", "IN01"),
        ("sd15", "down_blocks.1.resnets.1.conv1", "IN05"),
        ("sd15", "down_blocks.2.downsamplers.0.conv", "IN09"),
        ("sd15", "mid_block.attentions.0.proj_out", "MID"),
        ("sd15", "up_blocks.0.upsamplers.0.conv", "OUT02"),
        ("sd15", "up_blocks.3.attentions.2.proj_in", "OUT11"),
        ("sd15", "time_embedding.linear_1", "BASE"),
        ("sd15", "conv_in", "IN00"),
        ("sdxl", "down_blocks.2.attentions.1.proj_in", "IN08"),
        ("sdxl", "up_blocks.0.attentions.2.proj_in", "OUT02"),
    ] {
        assert_eq!(of(family, module), block, "{family} {module}");
    }
    // A list names the blocks with attention; others get nothing.
    let components = model("sd15");
    let names = BlockNames::of_unet(&components[0].1.names());
    let weight = |module: &str| weights.of(names.of("unet", module));
    assert_eq!(weight("down_blocks.0.attentions.0.proj_in"), 2.0);
    assert_eq!(weight("mid_block.attentions.0.proj_in"), 8.0);
    assert_eq!(weight("up_blocks.3.attentions.2.proj_in"), 17.0);
    assert_eq!(weight("conv_in"), 0.0);
    assert_eq!(weights.of(names.of("text_encoder", "text_model.encoder.layers.0.mlp.fc1")), 1.0);
    let stack = |family: &str| Stack::new(model(family), None);
    let lora = |family: &str| {
        let name = modules(family).into_iter().find(|(name, ..)| name != "-").unwrap();
        adapter(&[(format!("{}.diff", name.0), name.2)]).unwrap()
    };
    let blocks = |text: &str| Strength { blocks: Some(text.parse().unwrap()), ..whole() };
    assert!(stack("sd15").add(&lora("sd15"), &Strength { blocks: Some(weights), ..whole() }).is_ok());
    let twelve = ["1"; 12].join(",");
    assert!(stack("sdxl").add(&lora("sdxl"), &blocks(&twelve)).is_ok());
    let refused = stack("sd15").add(&lora("sd15"), &blocks(&twelve)).unwrap_err().to_string();
    assert!(refused.contains("9 blocks each way, and the model's has 12"), "{refused}");
    assert!(stack("sdxl").add(&lora("sdxl"), &blocks("OUT09=1")).is_err());
    assert!(stack("sd15").add(&lora("sd15"), &blocks("OUT09=1")).is_ok());
}

#[test]
fn block_weights_are_read_later_ones_first() {
    let weights: BlockWeights = "all=0.5, in=2,IN04=3,m00=-1".parse().unwrap();
    let all = [Block::Base, Block::In(0), Block::In(4), Block::Mid, Block::Out(3)].map(|block| weights.of(block));
    assert_eq!(all, [0.5, 2.0, 3.0, -1.0, 0.5]);
    let other: BlockWeights = "OUT=0".parse().unwrap();
    assert_eq!([Block::Base, Block::Out(3)].map(|block| other.of(block)), [1.0, 0.0]);
    for text in ["", "1", "1,2", "MID=", "MID=nan", "IN=1,2", "INX=1", "OUT-1=1"] {
        assert!(text.parse::<BlockWeights>().is_err(), "{text}");
    }
}
