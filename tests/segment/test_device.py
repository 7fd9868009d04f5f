import pytest
import torch

from rootpainter_rootfm.errors import SettingsError
from rootpainter_rootfm.segment import device as devices
from rootpainter_rootfm.segment.device import CPU, Footing

CUDA = torch.device("cuda:0")
TILE = 1024 * 1024


def test_auto_is_a_device_of_this_machine():
    assert torch.ones(1, device=devices.choose_device("auto")).item() == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_device_that_is_not_here_is_refused(name):
    with pytest.raises(SettingsError, match=f"device {name} was asked for.*no CUDA device"):
        devices.choose_device(name)


@pytest.mark.parametrize("name", ["gpu", "xpu", "meta", "cuda:", "CPU", ""])
def test_a_name_that_is_no_device_is_refused_in_words(name):
    with pytest.raises(SettingsError, match=f"^The device {name} is unknown; choose auto, cpu, mps, cuda or cuda:N.$"):
        devices.choose_device(name)


def test_a_cuda_number_too_many_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices.choose_device("cuda:1") == torch.device("cuda:1")
    assert devices.choose_device("cuda") == CUDA
    with pytest.raises(SettingsError, match="has 2 CUDA device"):
        devices.choose_device("cuda:2")


@pytest.mark.parametrize("device", ["cpu", "mps"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_refused_away_from_cuda(device, precision):
    with pytest.raises(SettingsError, match=f"precision {precision} is for CUDA devices only; on {device}"):
        devices.choose_precision(precision, torch.device(device))


@pytest.mark.parametrize(("capability", "expected"), [((6, 1), "fp32"), ((7, 0), "fp16"), ((9, 0), "fp16")])
def test_auto_precision_follows_the_device(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert devices.choose_precision("auto", CUDA) == expected
    assert devices.choose_precision("bf16", CUDA) == "bf16"
    assert devices.choose_precision("auto", CPU) == "fp32"


def test_the_ladder_goes_down_to_one_tile_on_the_cpu_and_ends_there():
    footing, steps, batches = Footing(CUDA, CUDA, pixels=8 * TILE), [], []
    while True:
        batches.append(footing.batch(None, TILE))
        lowered = footing.lowered(batches[-1], TILE)
        if lowered is None:
            break
        footing, step = lowered
        steps.append(step)
    assert batches == [8, 4, 2, 1, 1, 1]
    assert steps[-2:] == ["blending on the CPU", "working on the CPU"]
    assert (footing.device, footing.blend_on) == (CPU, CPU)


def test_a_lowered_batch_also_bounds_the_one_that_the_user_asked_for():
    footing, _ = Footing(CUDA, CUDA, pixels=8 * TILE).lowered(16, TILE)
    assert footing.batch(16, TILE) == 8
    assert footing.batch(16, TILE // 4) == 16


def test_the_cpu_takes_few_tiles_at_a_time_unless_asked():
    footing = Footing.first(CPU)
    assert [footing.batch(None, side**2) for side in (448, 480, 1024)] == [2, 2, 1] and footing.batch(6, TILE) == 6


@pytest.mark.parametrize(
    "told", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("CUDA error: out of memory"), 9]
)
def test_a_gpu_that_others_have_filled_is_passed_over_unless_it_was_asked_for(monkeypatch, caplog, told):
    def memory(device):
        if isinstance(told, Exception):
            raise told
        return told, 80 << 30

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)
    assert devices.first_footing("auto").device == CPU
    assert "cuda:0 is taken by other programs" in caplog.text
    with pytest.raises(SettingsError, match="cuda:0 is taken by other programs.*choose auto or cpu"):
        devices.first_footing("cuda")


def test_a_gpu_for_which_torch_has_no_program_is_passed_over_unless_it_was_asked_for(monkeypatch, caplog):
    def ones(*size, device):
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nCompile with …")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (70 << 30, 80 << 30))
    monkeypatch.setattr(torch, "ones", ones)
    assert devices.first_footing("auto").device == CPU
    assert "torch cannot compute on cuda:0 (CUDA error: no kernel image" in caplog.text
    with pytest.raises(SettingsError, match=r"cannot compute on cuda:0 .* the device\); choose auto or cpu"):
        devices.first_footing("cuda")
